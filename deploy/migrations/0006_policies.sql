-- Policies as dated, numbered facts: loaded with 'patrol policy load', never changed, only added to. Every program
-- counts by these, whatever file its caller's PATROL_POLICY names.
--
-- A program of the version before, still running: what it holds in a transaction is finished first (this lock is
-- the one that every batch takes). It goes on with the settings that it began with, so it has to be ended before a
-- policy is loaded; started anew, it ends with an error, because 'policy' is a view now and cannot be written by
-- whoever begins last.
select pg_advisory_xact_lock(123563867766786); -- 0x7061_7472_0002, AREAS_LOCK

create table policy_version (
    version    integer     primary key check (version >= 1),
    valid_from timestamptz not null,
    settings   jsonb       not null check (jsonb_typeof(settings) = 'object'),
    why        text        not null check (why <> ''),
    loaded_by  text        not null,
    loaded_at  timestamptz not null default now()
);
comment on table policy_version is
    'policies on record; each replaces, from valid_from on, all with smaller numbers; see the view policy';
comment on column policy_version.settings is 'every setting by name; one that is not there has its default';

create function policy_stands() returns trigger language plpgsql as $$
begin
    raise exception 'policies on record are never changed or deleted: load another with ''patrol policy load''';
end $$;
create trigger policy_stands before update or delete on policy_version
    for each row execute function policy_stands();
create trigger policy_stays before truncate on policy_version
    for each statement execute function policy_stands();

-- What radio statuses mean where a policy on record does not say (rule 10).
create function policy_states(settings jsonb) returns jsonb language sql immutable parallel safe as $$
    select coalesce(settings -> 'states', '{
        "0": {"name": "emergency", "counts": "visible"}, "1": {"name": "on_duty", "counts": "visible"},
        "2": {"name": "available", "counts": "visible"}, "3": {"name": "standby", "counts": "visible"},
        "4": {"name": "refreshments", "counts": "break"}, "5": {"name": "en_route", "counts": "visible"},
        "6": {"name": "at_scene", "counts": "visible"}, "7": {"name": "committed", "counts": "visible"},
        "8": {"name": "unavailable", "counts": "not_visible"},
        "9": {"name": "prisoner_escort", "counts": "not_visible"},
        "10": {"name": "court", "counts": "not_visible"}, "11": {"name": "off_duty", "counts": "off_duty"}}')
$$;

-- What the views had been told: the settings that they need, of whoever began last. The others were kept nowhere and
-- are the defaults here; a file that says otherwise is told as a difference, and loaded.
alter table policy rename to policy_before;
alter table policy_state rename to policy_state_before;
insert into policy_version (version, valid_from, settings, why, loaded_by)
    select row_number() over (order by valid_from), valid_from, settings,
           case when settings = jsonb_build_object('target', 0.8, 'visit_join_s', 60, 'visit_min_s', 120,
                   'states', policy_states('{}'))
               then 'the rules'' defaults' else 'in the database before policies were put on record' end,
           'patrol init'
    from policy_before cross join lateral (
        select jsonb_build_object(
            'target', target, 'visit_join_s', extract(epoch from visit_join),
            'visit_min_s', extract(epoch from visit_min),
            'states', (select coalesce(jsonb_object_agg(state, jsonb_build_object('name', name, 'counts', counts)), '{}')
                       from policy_state_before s where s.valid_from = policy_before.valid_from)) as settings
    ) known;
-- A policy is in force at every time: the rules' defaults where the first has a date.
insert into policy_version (version, valid_from, settings, why, loaded_by)
    select 1, '-infinity', '{}', 'the rules'' defaults', 'patrol init'
    where not exists (select from policy_version);

-- ── The same as the views need it ─────────────────────────────────────────────────────────────────────────
create view policy as
    select valid_from, coalesce((settings ->> 'target')::double precision, 0.8) as target,
           make_interval(secs => coalesce((settings ->> 'visit_join_s')::double precision, 60)) as visit_join,
           make_interval(secs => coalesce((settings ->> 'visit_min_s')::double precision, 120)) as visit_min,
           version, settings
    from policy_version v
    where not exists (select from policy_version later
                      where later.version > v.version and later.valid_from <= v.valid_from);
comment on view policy is 'the policies in force by the time from which they hold; a later one replaces earlier ones';
create view policy_state as
    select valid_from, state.key::smallint as state, state.value ->> 'name' as name,
           state.value ->> 'counts' as counts
    from policy, jsonb_each(policy_states(settings)) state;
comment on view policy_state is 'what the radio statuses mean, by the time from which it holds';
create or replace view policy_span as
    select valid_from, target, visit_join, visit_min,
           lead(valid_from, 1, 'infinity') over (order by valid_from) as valid_to, version
    from policy;
-- As before, with the meaning of states from the policies on record.
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
           d.patch, d.team, s.duty, s.officer
    from slices s
    join duty d using (duty)
    join officer o on o.officer = s.officer
    join activity a using (activity)
    join policy_span y on d.start_at >= y.valid_from and d.start_at < y.valid_to
    left join policy_state t on t.valid_from = y.valid_from and t.state = s.state
    left join place p using (place)
    left join device v on v.device = s.device;
drop table policy_state_before, policy_before;

-- ── By which policy each duty was counted ─────────────────────────────────────────────────────────────────
-- A duty is counted by the policies in force for its time, except where one was loaded for a time already counted:
-- then the duty is in here until a recompute has counted it again. Whoever loads writes it, so counting costs no more.
create table policy_outdated (
    duty    integer primary key,
    version integer not null references policy_version,  -- by which it was counted
    loaded  integer not null references policy_version,  -- the newest that says otherwise
    check (loaded > version)
);
comment on table policy_outdated is
    'duties counted by a policy that has been replaced for their time since; patrol recompute empties it';
create view duty_policy as
    select d.duty, d.duty_id, coalesce(o.version, y.version) as version, o.duty is not null as outdated
    from duty d join policy_span y on d.start_at >= y.valid_from and d.start_at < y.valid_to
    left join policy_outdated o using (duty);
comment on view duty_policy is
    'the policy that counted each duty, by the duty''s start; outdated: another is in force for its time by now';

alter table restatement drop constraint restatement_cause_check;
alter table restatement add constraint restatement_cause_check
    check (cause in ('areas published', 'areas withdrawn', 'facts', 'duties', 'policy'));
comment on column restatement.version is 'the boundaries or the policy concerned, where the cause is theirs';
