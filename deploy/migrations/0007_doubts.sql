-- Doubt (rule 21): where facts contradict each other, kept beside the slices and never in them.

-- ── Where a device may contradict itself ──────────────────────────────────────────────────────────────────
create table suspect (
    device integer not null,
    hour   integer not null,
    primary key (device, hour)
);
comment on table suspect is
    'hours (since 1970, UTC) in which two fixes of a device that follow each other lie on one spot to the last digit, '
    'or further apart than anybody drives: only there may a device be frozen, or two devices share an id';

-- What is on record was never looked at: every pair of fixes, once.
insert into suspect
    select distinct device, generate_series(floor(extract(epoch from before) / 3600)::integer,
                                            floor(extract(epoch from time) / 3600)::integer)
    from (select device, time, lon, lat, lag(time) over w as before, lag(lon) over w as lon0, lag(lat) over w as lat0
          from fix window w as (partition by device order by time)) pair
    where lon = lon0 and lat = lat0 and time - before < interval '30 days'
       or (abs(lon - lon0) + abs(lat - lat0)) * 111195.1 > 40 * extract(epoch from time - before);

-- ── What is to be judged again ────────────────────────────────────────────────────────────────────────────
create table doubt_due (
    duty  integer primary key,
    taken boolean not null default false
);
comment on table doubt_due is
    'duties whose facts changed since their doubts were judged; taken: somebody judges them, and nothing changed since';
insert into doubt_due (duty) select duty from duty;

-- ── What was found ────────────────────────────────────────────────────────────────────────────────────────
create table doubt_kind (kind smallint primary key, name text not null);
insert into doubt_kind values (0, 'two_devices'), (1, 'frozen'), (2, 'shared_radio'), (3, 'apart');

create table doubt (
    duty     integer     not null,
    kind     smallint    not null references doubt_kind,
    device   integer     not null,
    other    text        not null,
    start_at timestamptz not null,
    end_at   timestamptz not null,
    primary key (duty, kind, device, other, start_at),
    check (end_at > start_at)
);
comment on table doubt is 'doubtful stretches of duties by kind; other: the other officer or device, empty where there is none';

create table doubtful (
    duty      integer     not null,
    start_at  timestamptz not null,
    end_at    timestamptz not null,
    activity  smallint    not null check (activity in (1, 3, 4)),
    ambiguous boolean     not null,
    primary key (duty, start_at),
    check (end_at > start_at),
    constraint nothing_is_doubted_twice exclude using gist (
        int4range(duty, duty, '[]') with &&, tstzrange(start_at, end_at) with &&)
);
comment on table doubtful is
    'the doubtful time of duties, all kinds together, cut where the activity changes; ambiguous: the error of the '
    'position leaves it open as well (rule 14), so it widens the bounds already';

create view doubts as
    select officer_id, duty_id, d.start_at, d.end_at, k.name as kind, v.device_id, d.other as other_id, d.duty
    from doubt d join doubt_kind k using (kind) join duty t using (duty) join officer o using (officer)
    join device v using (device);
comment on view doubts is 'where the facts contradict each other (rule 21), by duty, kind and device';

-- ── The views for people with SQL ─────────────────────────────────────────────────────────────────────────
create or replace view officer_slices as
    select officer_id, duty_id, s.start_at, s.end_at, a.name as activity,
           case when s.activity = 1 and t.counts = 'not_visible' then t.name
                when s.activity = 1 then coalesce(p.premises, '')
                when s.activity = 4 then coalesce(p.neighbourhood, 'outside')
                else '' end as reason,
           s.place is not null as known, p.neighbourhood, p.premises,
           coalesce(p.priorities, '{}') as priorities, v.device_id,
           s.state, case when s.state >= 0 then coalesce(t.name, 'state_' || s.state) else '' end as state_name,
           coalesce(p.classes && d.patch and not p.classes <@ d.patch, false) as ambiguous,
           d.patch, d.team, s.duty, s.officer,
           coalesce((select sum(extract(epoch from least(f.end_at, s.end_at) - greatest(f.start_at, s.start_at)))
                     from doubtful f
                     where f.duty = s.duty and f.start_at < s.end_at and f.end_at > s.start_at), 0) as doubtful_s
    from slices s
    join duty d using (duty)
    join officer o on o.officer = s.officer
    join activity a using (activity)
    join policy_span y on d.start_at >= y.valid_from and d.start_at < y.valid_to
    left join policy_state t on t.valid_from = y.valid_from and t.state = s.state
    left join place p using (place)
    left join device v on v.device = s.device;

-- Doubtful time of a period by duty, microseconds: all of it; of it what the error of the positions does not leave
-- open anyway, on patch and not.
create function doubtful_times(since timestamptz, until timestamptz)
    returns table (duty integer, doubtful bigint, doubtful_on bigint, doubtful_off bigint)
    language sql stable as $$
    select duty, sum(us)::bigint, coalesce(sum(us) filter (where activity = 3 and not ambiguous), 0)::bigint,
           coalesce(sum(us) filter (where activity <> 3 and not ambiguous), 0)::bigint
    from (select duty, activity, ambiguous,
                 (extract(epoch from least(end_at, until) - greatest(start_at, since)) * 1000000)::bigint as us
          from doubtful where start_at < until and end_at > since) clipped
    group by duty
$$;

drop function shares(timestamptz, timestamptz);
create function shares(since timestamptz, until timestamptz)
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
               case when has_share then nullif(not_visible + unknown + on_patch + off_patch, 0) end as whole
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
    'the figures of the force, of neighbourhoods and of officers for a period (rules 13 to 15, 21): '
    'select * from shares(''2026-11-16 Europe/London'', ''2026-11-23 Europe/London'')';

-- ── Published reports: doubtful time stands behind the sums, where there is any ───────────────────────────
alter table report drop constraint report_figures_check;
alter table report add constraint figures_have_eight_sums_or_eleven check (cardinality(figures) in (8, 11));
