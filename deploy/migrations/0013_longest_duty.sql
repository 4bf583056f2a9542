-- Rule 8a: a booked duty longer than the policy's longest duty counts for nothing until it is revised, and an open one
-- counts for its first longest_duty_s and then no further. What was booked stays in start_at and end_at; up to where it
-- counts is until_at, which everything that counts reads. Programs of the version before write no limit: 24 hours.

create function counted_until(start_at timestamptz, end_at timestamptz, cancelled boolean, longest_us bigint)
    returns timestamptz language sql immutable parallel safe
    return case when cancelled or end_at - start_at > longest_us * interval '1 microsecond' then null
                when end_at is null then start_at + longest_us * interval '1 microsecond'
                else end_at end;
comment on function counted_until is
    'up to where a duty counts, of elapsed time (rules 8 and 8a); null: it counts for nothing';

create function longest_duty(at timestamptz) returns bigint language sql stable as $$
    select coalesce(round((settings ->> 'longest_duty_s')::numeric * 1000000)::bigint, 86400000000)
    from policy_span join policy_version using (version)
    where at >= policy_span.valid_from and at < policy_span.valid_to
$$;
comment on function longest_duty is 'how long a duty that starts then may be, microseconds, by the policies in force';

alter table duty add column longest_us bigint not null default 86400000000;

-- Duties that have no end or a later one were counted without a limit so far. They stay so, and are on the list of
-- those that a recompute counts again, which puts what changes on record (rule 20).
update duty set longest_us = 1000000000000000
where not cancelled and (end_at is null or end_at - start_at > interval '24 hours');
alter table policy_outdated drop constraint policy_outdated_check;
alter table policy_outdated add constraint policy_outdated_check check (loaded >= version);
insert into policy_outdated (duty, version, loaded)
    select duty, y.version, (select max(version) from policy_version)
    from duty d join policy_span y on d.start_at >= y.valid_from and d.start_at < y.valid_to
    where d.longest_us > 86400000000
    on conflict (duty) do nothing;

alter table duty add column until_at timestamptz
    generated always as (counted_until(start_at, end_at, cancelled, longest_us)) stored;
comment on column duty.end_at is 'as booked; null: still on duty';
comment on column duty.longest_us is
    'how long it may be, microseconds: longest_duty_s of the policy by which it was counted';
comment on column duty.until_at is
    'up to where it counts (rule 8a); null: it counts for nothing, because it is cancelled or booked for too long';
create index duty_by_counted_time on duty using gist (tstzrange(start_at, until_at)) where until_at is not null;
create index duty_by_booked_time on duty using gist (tstzrange(start_at, coalesce(until_at, end_at)))
    where not cancelled;
drop index duty_by_time;
drop index duty_by_start;
create index duty_by_start on duty (start_at) where until_at is not null;
comment on view officer_slices is
    'what each officer did when and where (rule 12); what still runs ends at until_at of its duty; ambiguous: the error '
    'of the position leaves open whether it was on the patch (rule 14)';

-- ── What people with SQL ask, by what counts ──────────────────────────────────────────────────────────────────────
create or replace function duty_times(since timestamptz, until timestamptz)
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
        where d.start_at < until and d.until_at > since
            and greatest(s.start_at, since) < least(s.end_at, until)
    ) clipped
    group by duty
$$;

create or replace function figure_duties(since timestamptz, until timestamptz)
    returns table (scope text, id text, has_share boolean, duty integer)
    language sql stable as $$
    with present as (
        select d.duty, officer_id, patch, patch <> '{}' as patched, s.duty is not null as spent
        from duty d join officer using (officer) left join (
            select duty from slices
            where start_at < until and end_at > since and greatest(start_at, since) < least(end_at, until)
            group by duty) s using (duty)
        where greatest(start_at, since) < least(until_at, until) and until_at is not null
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

create or replace function visits_of(since timestamptz, until timestamptz)
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
            select d.duty, d.officer, d.start_at, d.until_at as end_at,
                   max(d.until_at) over (
                       partition by d.officer order by d.start_at, d.duty rows between unbounded preceding
                       and 1 preceding) as before
            from duty d where d.until_at is not null
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
