-- Bounds (rule 14): a place also says which other decision classes are within the error of the position, sums
-- know what of them is ambiguous, and a slice always says the radio status in force. And views for people with SQL.
--
-- A program of the version before, still running: what it holds in a transaction is finished first (this lock is
-- the one that every batch takes). From then on it ends with an error, for columns that it asks for are gone, and
-- writes nothing more; its frames wait in Kafka for a program of this version. Reading boundaries goes on.
select pg_advisory_xact_lock(123563867766786); -- 0x7061_7472_0002, AREAS_LOCK

-- ── Places ────────────────────────────────────────────────────────────────────────────────────────────────
alter table place add column near text[] not null default '{}';
alter table place add column classes text[] generated always as (
    array_append(near, case when premises is null then coalesce(neighbourhood, '') else '' end)) stored;
comment on column place.near is
    'the other decision classes within the error of the position, sorted: neighbourhoods, or '''' for elsewhere';
comment on column place.classes is
    'near and the place''s own class: time is ambiguous where a patch holds one of them, and another not';
-- The constraint's name was given by the server.
alter table place drop constraint place_neighbourhood_premises_priorities_key;

-- What was counted before, nobody asked how near an edge was. So anything may be near: such time proves nothing
-- until it is counted again (patrol recompute), where an exact place would have proved too much.
update place set near = coalesce((
    select array_agg(class order by class collate "C")
    from (select area_id as class from area join area_version using (version) where kind = 'neighbourhood'
          union select '') known
    where class <> place.classes[1]), '{}');
alter table place add constraint a_place_stands_once
    unique nulls not distinct (neighbourhood, premises, priorities, near);
-- Places without anything near, for time that the position does not decide.
insert into place (neighbourhood, premises, priorities)
    select neighbourhood, premises, priorities from place on conflict do nothing;

-- ── Stays ─────────────────────────────────────────────────────────────────────────────────────────────────
alter table stay_end rename column fixes to context;
comment on column stay_end.context is
    'the last fixes: time int64, lon, lat, error_m float64 of each (NaN: not stated), little endian';
comment on column stay_end.stays is 'start, end, place (-1 unknown) of each; microseconds since 1970';
-- Their errors are not there: they are read from the facts with the next fix.
update stay_end set context = '', whole = false where context <> '';

-- ── Slices ────────────────────────────────────────────────────────────────────────────────────────────────
comment on column slice.state is
    'the radio status in force; -1 on slices counted before it was kept with each, where it was not the reason';
comment on column slice.place is
    'null: unknown; with what is near only where the position decides what the time counts as';
comment on column slice_end.slices is 'start, end, activity, state, place, device of each, as in slice';
comment on column slice_end.settled is
    'sums of the closed slices, microseconds: break, not visible, unknown, on patch, off patch; of on patch the '
    'part within priority areas and the ambiguous part; the ambiguous part of off patch and of premises';

create temp table plain on commit drop as
    select cloudy.place as old, exact.place as new from place cloudy
    join place exact on exact.near = '{}' and exact.neighbourhood is not distinct from cloudy.neighbourhood
        and exact.premises is not distinct from cloudy.premises and exact.priorities = cloudy.priorities
    where cloudy.near <> '{}';
-- Breaks, and what a state made not visible, are so wherever the officer was.
update slice set place = new from plain
    where place = old and (activity = 0 or activity = 1 and state <> -1);
update slice_end set slices = (
    select array_agg(case when k = 4 and (slices[i + 2] = 0 or slices[i + 2] = 1 and slices[i + 3] <> -1)
                     then coalesce((select new from plain where old = slices[i + 4]), slices[i + 4])
                     else slices[i + k] end order by i, k)
    from generate_series(1, cardinality(slices), 6) i, generate_series(0, 5) k)
    where cardinality(slices) > 0;
update slice_end e set settled = settled || coalesce((
    select array[coalesce(sum(us) filter (where activity = 3), 0)::bigint,
                 coalesce(sum(us) filter (where activity <> 3), 0)::bigint]
    from (select s.activity, (extract(epoch from s.end_at - s.start_at) * 1000000)::bigint as us
          from slice s join place p using (place) join duty d using (duty)
          where s.duty = e.duty and s.activity in (1, 3, 4) and p.near <> '{}'
              and p.classes && d.patch and not p.classes <@ d.patch) cloudy), '{0,0}');
alter table slice_end alter column settled set default '{0,0,0,0,0,0,0,0}';
alter table slice_end add constraint settled_has_eight_sums check (cardinality(settled) = 8);

-- ── Restatements ──────────────────────────────────────────────────────────────────────────────────────────
alter table restated drop constraint restated_before_check, drop constraint restated_after_check;
update restated set before = before || array[null, null]::bigint[], after = after || array[null, null]::bigint[];
alter table restated
    add constraint before_has_eight_sums check (cardinality(before) = 8),
    add constraint after_has_eight_sums check (cardinality(after) = 8);
comment on column restated.before is
    'microseconds, in the order of slice_end.settled; the last two null where they were not counted then';
comment on column restated.after is 'as before';

-- What a recompute that has not ended yet has changed, by duty and week: it ends as a restatement. Left behind by
-- one that was killed, it goes into the next one's.
create table recomputed (
    duty  integer  not null,
    week  text     not null,
    times bigint[] not null check (cardinality(times) = 8),
    primary key (duty, week)
);
comment on column recomputed.times is 'by how much the duty''s sums of the week rose';

-- Facts are read by time too: those of a week, of all devices, lie together as they came.
create index fix_by_time on fix using brin (time);

-- ── The settings that views need, written by whoever counts ───────────────────────────────────────────────
create table policy (
    valid_from timestamptz      primary key,
    target     double precision not null,
    visit_join interval         not null,
    visit_min  interval         not null
);
comment on table policy is 'the accounting''s settings by the time from which they hold, as PATROL_POLICY has them';
create table policy_state (
    valid_from timestamptz not null references policy on delete cascade,
    state      smallint    not null,
    name       text        not null,
    counts     text        not null check (counts in ('visible', 'break', 'not_visible', 'off_duty')),
    primary key (valid_from, state)
);
insert into policy values ('-infinity', 0.8, '60 s', '120 s');
insert into policy_state select '-infinity', state, name, counts from (values
    (0, 'emergency', 'visible'), (1, 'on_duty', 'visible'), (2, 'available', 'visible'),
    (3, 'standby', 'visible'), (4, 'refreshments', 'break'), (5, 'en_route', 'visible'),
    (6, 'at_scene', 'visible'), (7, 'committed', 'visible'), (8, 'unavailable', 'not_visible'),
    (9, 'prisoner_escort', 'not_visible'), (10, 'court', 'not_visible'), (11, 'off_duty', 'off_duty')
) s (state, name, counts);
create view policy_span as
    select *, lead(valid_from, 1, 'infinity') over (order by valid_from) as valid_to from policy;

-- ── Views for people with SQL: names in place of keys, seconds in place of microseconds ───────────────────
create view officer_slices as
    select officer_id, duty_id, s.start_at, s.end_at, a.name as activity,
           case when s.activity = 1 and t.counts = 'not_visible' then t.name
                when s.activity = 1 then coalesce(p.premises, '')
                when s.activity = 4 then coalesce(p.neighbourhood, 'outside')
                else '' end as reason,
           s.place is not null as known, p.neighbourhood, p.premises,
           coalesce(p.priorities, '{}') as priorities, v.device_id,
           s.state, case when s.state >= 0 then coalesce(t.name, 'state_' || s.state) else '' end as state_name,
           coalesce(p.classes && d.patch and not p.classes <@ d.patch, false) as ambiguous,
           d.patch, d.team, s.duty, s.officer
    from slices s
    join duty d using (duty)
    join officer o on o.officer = s.officer
    join activity a using (activity)
    join policy_span y on d.start_at >= y.valid_from and d.start_at < y.valid_to
    left join policy_state t on t.valid_from = y.valid_from and t.state = s.state
    left join place p using (place)
    left join device v on v.device = s.device;
comment on view officer_slices is
    'what each officer did when and where (rule 12); end_at is infinity on what still runs; ambiguous: the error of '
    'the position leaves open whether it was on the patch (rule 14)';

-- Sums of a period by duty, microseconds, in the order of slice_end.settled.
create function duty_times(since timestamptz, until timestamptz)
    returns table (duty integer, on_break bigint, not_visible bigint, unknown bigint, on_patch bigint,
                   off_patch bigint, priority bigint, ambiguous_on bigint, ambiguous_off bigint)
    language sql stable as $$
    select duty,
           coalesce(sum(us) filter (where activity = 0), 0)::bigint,
           coalesce(sum(us) filter (where activity = 1), 0)::bigint,
           coalesce(sum(us) filter (where activity = 2), 0)::bigint,
           coalesce(sum(us) filter (where activity = 3), 0)::bigint,
           coalesce(sum(us) filter (where activity = 4), 0)::bigint,
           coalesce(sum(us) filter (where activity = 3 and priorities <> '{}'), 0)::bigint,
           coalesce(sum(us) filter (where activity = 3 and ambiguous), 0)::bigint,
           coalesce(sum(us) filter (where activity <> 3 and ambiguous), 0)::bigint
    from (
        select s.duty, s.activity, p.priorities, p.classes && d.patch and not p.classes <@ d.patch as ambiguous,
               (extract(epoch from least(s.end_at, until) - greatest(s.start_at, since)) * 1000000)::bigint as us
        from duty d join slices s using (duty) left join place p using (place)
        where d.start_at < until and (d.end_at is null or d.end_at > since)
            and greatest(s.start_at, since) < least(s.end_at, until)
    ) clipped
    group by duty
$$;

-- Whose duties make up which figure of a period (rule 15).
create function figure_duties(since timestamptz, until timestamptz)
    returns table (scope text, id text, has_share boolean, duty integer)
    language sql stable as $$
    with present as (
        select d.duty, officer_id, patch, patch <> '{}' as patched, s.duty is not null as spent
        from duty d join officer using (officer) left join (
            select duty from slices
            where start_at < until and end_at > since and greatest(start_at, since) < least(end_at, until)
            group by duty) s using (duty)
        where not cancelled and greatest(start_at, since) < least(coalesce(end_at, 'infinity'), until)
    ), chosen as (
        -- An officer's figure is over the duties with a patch; over all others only where there are none, or
        -- where all that was worked was in them.
        select officer_id, bool_or(patched)
            and not (coalesce(bool_or(spent) filter (where not patched), false)
                     and not coalesce(bool_or(spent) filter (where patched), false)) as has_share
        from present group by officer_id
    )
    select 'force', 'force', true, duty from present where patched
    union all
    select 'neighbourhood', area_id, true, duty from present, unnest(patch) area_id
    union all
    select 'officer', officer_id, has_share, duty from present join chosen using (officer_id)
    where patched = has_share
$$;

create function seconds(us bigint) returns numeric language sql immutable parallel safe as $$
    select round(us / 1e6, 6)
$$;

create function shares(since timestamptz, until timestamptz)
    returns table (scope text, id text, since_at timestamptz, until_at timestamptz, duty_s numeric,
                   on_patch_s numeric, off_patch_s numeric, not_visible_s numeric, unknown_s numeric,
                   break_s numeric, priority_s numeric, share double precision, share_low double precision,
                   share_high double precision, target double precision, verdict text)
    language sql stable as $$
    with sums as (
        select scope, id, has_share,
               coalesce(sum(on_break), 0)::bigint as on_break,
               coalesce(sum(not_visible), 0)::bigint as not_visible,
               coalesce(sum(unknown), 0)::bigint as unknown,
               coalesce(sum(on_patch), 0)::bigint as on_patch,
               coalesce(sum(off_patch), 0)::bigint as off_patch,
               coalesce(sum(priority), 0)::bigint as priority,
               coalesce(sum(ambiguous_on), 0)::bigint as ambiguous_on,
               coalesce(sum(ambiguous_off), 0)::bigint as ambiguous_off
        from (select * from figure_duties(since, until)
              union all select 'force', 'force', true, null) m
        left join duty_times(since, until) t using (duty)
        group by scope, id, has_share
    ), figures as (
        select *, not_visible + unknown + on_patch + off_patch as duty,
               case when has_share then nullif(not_visible + unknown + on_patch + off_patch, 0) end as whole
        from sums
    ), bounded as (
        select *, on_patch::float8 / whole as share, (on_patch - ambiguous_on)::float8 / whole as low,
               (on_patch + unknown + ambiguous_off)::float8 / whole as high
        from figures
    )
    select scope, id, since, until, seconds(duty), seconds(on_patch), seconds(off_patch), seconds(not_visible),
           seconds(unknown), seconds(on_break), seconds(priority), share, low, high, y.target,
           case when low >= y.target then 'met' when high < y.target then 'missed'
                when share is not null then 'not proven' end
    from bounded, policy_span y
    where since >= y.valid_from and since < y.valid_to
$$;
comment on function shares is
    'the figures of the force, of neighbourhoods and of officers for a period (rules 13 to 15): '
    'select * from shares(''2026-11-16 Europe/London'', ''2026-11-23 Europe/London'')';

create function abstraction(since timestamptz, until timestamptz)
    returns table (scope text, id text, activity text, neighbourhood text, premises text, state smallint,
                   state_name text, seconds numeric)
    language sql stable as $$
    select scope, m.id, s.activity, case when known then coalesce(s.neighbourhood, 'outside') else '' end,
           coalesce(s.premises, ''), s.state, s.state_name,
           sum(extract(epoch from least(s.end_at, until) - greatest(s.start_at, since)))
    from figure_duties(since, until) m join officer_slices s using (duty)
    where s.activity in ('not_visible', 'off_patch') and greatest(s.start_at, since) < least(s.end_at, until)
    group by 1, 2, 3, 4, 5, 6, 7
$$;
comment on function abstraction is 'off-patch and not-visible time of a period, by where and by state (rule 16)';

create function seconds_of(spans tstzmultirange) returns numeric language sql immutable parallel safe as $$
    select coalesce(sum(extract(epoch from upper(part) - lower(part))), 0) from unnest(spans) part
$$;

-- Visits that touch a period (rule 17). They are found over the whole record: which duties of an officer follow
-- each other so closely that a visit may reach over both is seen first, and only these duties' slices are read.
create function visits_of(since timestamptz, until timestamptz)
    returns table (area_id text, officer_id text, start_at timestamptz, end_at timestamptz, dwell_s numeric,
                   home_team boolean, inside tstzmultirange)
    language plpgsql stable as $$
#variable_conflict use_column
declare
    part record;
    officer integer;
    joins interval;
    lasts interval;
    parts tstzrange[];
begin
    for part in
        with edges as (
            select d.duty, d.officer, d.start_at, coalesce(d.end_at, 'infinity') as end_at,
                   max(coalesce(d.end_at, 'infinity')) over (
                       partition by d.officer order by d.start_at, d.duty rows between unbounded preceding
                       and 1 preceding) as before
            from duty d where not cancelled
        ), clusters as (
            select *, count(*) filter (where before is null or before
                    < edges.start_at - (select max(visit_join) from policy)) over (
                partition by edges.officer order by edges.start_at, duty) as cluster
            from edges
        ), wanted as (
            select clusters.officer, cluster from clusters group by clusters.officer, cluster
            having min(clusters.start_at) < until and max(clusters.end_at) > since
        )
        select s.officer, a.area_id, s.start_at, s.end_at, s.activity = 3 as home
        from wanted join clusters c using (officer, cluster) join slices s using (duty)
        join place p using (place), unnest(p.priorities) a (area_id)
        where s.activity in (3, 4)
        order by s.officer, a.area_id, s.start_at
    loop
        if part.officer = officer and part.area_id = area_id and part.start_at - end_at <= joins then
            end_at := part.end_at;
            home_team := home_team or part.home;
            parts := parts || tstzrange(part.start_at, part.end_at);
            continue;
        end if;
        if end_at - start_at >= lasts and start_at < until and end_at > since then
            inside := (select range_agg(r) from unnest(parts) r);
            dwell_s := seconds_of(inside);
            return next;
        end if;
        if officer is distinct from part.officer then
            officer := part.officer;
            officer_id := (select o.officer_id from officer o where o.officer = part.officer);
        end if;
        area_id := part.area_id;
        start_at := part.start_at;
        end_at := part.end_at;
        home_team := part.home;
        parts := array[tstzrange(part.start_at, part.end_at)];
        select visit_join, visit_min into joins, lasts from policy_span y
            where part.start_at >= y.valid_from and part.start_at < y.valid_to;
    end loop;
    if end_at - start_at >= lasts and start_at < until and end_at > since then
        inside := (select range_agg(r) from unnest(parts) r);
        dwell_s := seconds_of(inside);
        return next;
    end if;
end
$$;
create view visits as select * from visits_of('-infinity', 'infinity');
comment on view visits is
    'visits to priority areas (rule 17); inside: the time really there; visits_of(since, until) is faster';

create function priority_visits(since timestamptz, until timestamptz)
    returns table (area_id text, visits bigint, officer_s numeric, patrol_s numeric, other_teams_s numeric,
                   visits_2_5 bigint, visits_5_10 bigint, visits_10_20 bigint, visits_over_20 bigint)
    language sql stable as $$
    select area_id, count(*) filter (where counts),
           coalesce(sum(seconds_of(inside)), 0),
           coalesce(seconds_of(range_agg(inside)), 0),
           coalesce(sum(seconds_of(inside)) filter (where not home_team), 0),
           count(*) filter (where counts and length < interval '5 min'),
           count(*) filter (where counts and length >= interval '5 min' and length < interval '10 min'),
           count(*) filter (where counts and length >= interval '10 min' and length < interval '20 min'),
           count(*) filter (where counts and length >= interval '20 min')
    from (select area_id, start_at >= since as counts, end_at - start_at as length, home_team,
                 inside * tstzmultirange(tstzrange(since, until)) as inside
          from visits_of(since, until)) v
    group by area_id
$$;
comment on function priority_visits is
    'by priority area: visits that start in a period, and the time in it; patrol_s counts two officers together once';
