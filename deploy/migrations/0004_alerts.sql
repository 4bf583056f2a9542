-- Alerts: one row an episode, pending ones among them, and what people said to each. And the live page's way to the
-- duties of a time, which the table of duties otherwise has to be read through for.
create table alert (
    alert_id        text        primary key,
    kind            text        not null,
    scope           text        not null,
    id              text        not null,
    level           text        not null check (level in ('act', 'look')),
    text            text        not null,
    since           timestamptz not null,    -- when what it tells of began
    raised          timestamptz,             -- null: not long enough yet to ring
    quiet_since     timestamptz,             -- raised, and not so any more since then
    cleared         timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    snoozed_until   timestamptz,
    snoozed_by      text,
    check (cleared is null or raised is not null),
    check ((acknowledged_at is null) = (acknowledged_by is null))
);
comment on table alert is 'an episode a row: pending, raised, quiet, cleared; times are those of the facts';
create unique index alert_open on alert (kind, scope, id) where cleared is null;
create index alert_cleared on alert (cleared);

-- The last observation: an older one says nothing new.
create table alert_watch (
    one      boolean primary key default true check (one),
    observed timestamptz not null
);

create index duty_by_time on duty using gist (tstzrange(start_at, end_at));
