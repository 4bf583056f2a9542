-- What a restatement says of before and after has the doubtful time with it (rules 20 and 21), and says whether the
-- figure has a share. Programs of the version before write eight sums, and read eleven as they read eight.
alter table restated
    drop constraint before_has_eight_sums,
    drop constraint after_has_eight_sums,
    add constraint before_has_eight_sums_or_eleven check (cardinality(before) in (8, 11)),
    add constraint after_has_eight_sums_or_eleven check (cardinality(after) in (8, 11)),
    add column has_share boolean not null default true;
comment on column restated.before is
    'microseconds, in the order of slice_end.settled; the last two of eight null where they were not counted then; '
    'behind them doubtful time: all of it, and of it on patch and not what is not ambiguous as well; '
    'left out where it was not counted then';
comment on column restated.has_share is
    'false: an officer none of whose duties had a home patch that week, so that there is no share';

update restated r set has_share = false
where scope = 'officer' and not exists (
    select from duty join officer using (officer) where officer_id = r.id and patch <> '{}' and not cancelled);

alter table recomputed
    add column counted boolean not null default true,
    add column doubtful bigint[] check (cardinality(doubtful) = 3);
comment on table recomputed is
    'the duties that a recompute that has not ended yet counts again, by week; counted: it has';
comment on column recomputed.doubtful is
    'the duty''s doubtful time of the week as it was judged before, like the end of restated.before: what it rises by '
    'is known when it is judged again; null in a note of an older program, which says nothing of it';

-- ── A whole force that is elsewhere has no share (rule 15) ────────────────────────────────────────────────
alter table area
    add column west  double precision,
    add column south double precision,
    add column east  double precision,
    add column north double precision;
comment on column area.west is
    'of the box around the area, degrees; null where a program of the version before published it: patrol init fills it';

create function everybody_far(since timestamptz, until timestamptz)
    returns boolean
    language sql stable as $$
    -- Nearly always somebody is in some area: then no position is looked at.
    select case when exists (
        select from slices s join place p using (place)
        where s.end_at > since and s.start_at < until
            and (p.neighbourhood is not null or p.premises is not null or p.priorities <> '{}')
    ) then false else coalesce((
        select not exists (
            select from fix f cross join lateral (
                select sin(radians(f.lat - greatest(south, least(north, f.lat))) / 2) ^ 2
                    + cos(radians(f.lat)) * cos(radians(greatest(south, least(north, f.lat))))
                    * sin(radians(f.lon - greatest(west, least(east, f.lon))) / 2) ^ 2 as half_chord) d
            where f.time >= since and f.time < until
                and 2 * 6371008.8 * asin(sqrt(least(half_chord, 1))) <= 5000
        ) and exists (select from fix where time >= since and time < until)
        from (
            select min(west) as west, min(south) as south, max(east) as east, max(north) as north
            from (
                select version, valid_from,
                       lead(valid_from, 1, 'infinity') over (partition by kind order by valid_from, version) as valid_to
                from area_version where withdrawn is null
            ) v join area using (version)
            where greatest(valid_from, since) < least(valid_to, until)
            having count(*) > 0 and count(*) = count(west)
        ) box
    ), false) end
$$;
comment on function everybody_far is
    'whether there are positions in a period, none of anybody lies within 5 km of the box around all areas in force '
    'in it, and nobody on duty was in any area: of a whole force that is a mistake in coordinates or boundaries. '
    'False where there are no areas, or the boxes of some are not known (area.west)';

create or replace function shares(since timestamptz, until timestamptz)
    returns table (scope text, id text, since_at timestamptz, until_at timestamptz, duty_s numeric,
                   on_patch_s numeric, off_patch_s numeric, not_visible_s numeric, unknown_s numeric,
                   break_s numeric, priority_s numeric, share double precision, share_low double precision,
                   share_high double precision, target double precision, verdict text, doubtful_s numeric,
                   attested_s numeric)
    language sql stable as $$
    with sums as (
        select scope, id, has_share,
               coalesce(sum(on_break), 0)::bigint as on_break,
               coalesce(sum(not_visible), 0)::bigint as not_visible,
               coalesce(sum(unknown), 0)::bigint as unknown,
               coalesce(sum(on_patch), 0)::bigint as on_patch,
               coalesce(sum(off_patch), 0)::bigint as off_patch,
               coalesce(sum(priority), 0)::bigint as priority,
               (coalesce(sum(ambiguous_on), 0) + coalesce(sum(doubtful_on), 0))::bigint as open_on,
               (coalesce(sum(ambiguous_off), 0) + coalesce(sum(doubtful_off), 0))::bigint as open_off,
               coalesce(sum(doubtful), 0)::bigint as doubtful
        from (select * from figure_duties(since, until)
              union all select 'force', 'force', true, null) m
        left join duty_times(since, until) t using (duty)
        left join doubtful_times(since, until) f using (duty)
        group by scope, id, has_share
    ), figures as (
        select *, not_visible + unknown + on_patch + off_patch as duty,
               case when has_share and not (select everybody_far(since, until))
                    then nullif(not_visible + on_patch + off_patch, 0) + unknown end as whole
        from sums
    ), bounded as (
        select *, on_patch::float8 / whole as share, (on_patch - open_on)::float8 / whole as low,
               (on_patch + unknown + open_off)::float8 / whole as high
        from figures
    )
    select scope, id, since, until, seconds(duty), seconds(on_patch), seconds(off_patch), seconds(not_visible),
           seconds(unknown), seconds(on_break), seconds(priority), share, low, high, y.target,
           case when low >= y.target then 'met' when high < y.target then 'missed'
                when share is not null then 'not proven' end, seconds(doubtful), 0::numeric
    from bounded, policy_span y
    where since >= y.valid_from and since < y.valid_to
$$;
comment on function shares is
    'the figures of the force, of neighbourhoods and of officers for a period (rules 13 to 15, 21); no share without '
    'duty time or a home patch, where all of it is unknown, and where everybody_far: '
    'select * from shares(''2026-11-16 Europe/London'', ''2026-11-23 Europe/London'')';
