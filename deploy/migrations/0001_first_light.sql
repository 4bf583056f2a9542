-- The facts, what is derived from them, and how far the frames have been counted. PostgreSQL 15 or newer, no
-- extensions. Times are timestamptz (microseconds); names of people and devices stand once and are keys elsewhere.

-- ── Boundaries: every published version stays readable ────────────────────────────────────────────────────
create table area_version (
    version    integer generated always as identity primary key,
    kind       text        not null check (kind in ('neighbourhood', 'priority', 'premises')),
    valid_from timestamptz not null,
    loaded_at  timestamptz not null default now(),
    loaded_by  text        not null default session_user,
    file       text        not null,
    sha256     text        not null,
    withdrawn  timestamptz
);
create table area (
    version    integer not null references area_version,
    area_id    text    not null,
    name       text    not null,
    geometry   bytea   not null,  -- well-known binary, WGS84 degrees
    attributes jsonb   not null default '{}',
    primary key (version, area_id)
);

-- A place: at most one neighbourhood, at most one premises, any number of priority areas (rule 5).
create table place (
    place         integer generated always as identity primary key,
    neighbourhood text,
    premises      text,
    priorities    text[] not null,
    unique nulls not distinct (neighbourhood, premises, priorities)
);
insert into place (priorities) values ('{}');  -- outside all areas

-- ── Facts ─────────────────────────────────────────────────────────────────────────────────────────────────
create table device (
    device    integer generated always as identity primary key,
    device_id text not null unique
);
create table fix (
    device      integer          not null,
    time        timestamptz      not null,
    lon         double precision not null,
    lat         double precision not null,
    error_m     double precision not null,  -- NaN where the report did not say
    speed_mps   real             not null,  -- NaN likewise
    heading_deg real             not null,
    primary key (device, time)
);
create table officer (
    officer    integer generated always as identity primary key,
    officer_id text not null unique,
    facts      bigint not null default 0  -- goes up whenever a duty or state of the officer changes
);
create table duty (
    duty       integer generated always as identity primary key,
    duty_id    text    not null unique,
    officer    integer not null references officer,
    revision   integer not null,
    start_at   timestamptz not null,
    end_at     timestamptz,              -- null: still on duty
    patch      text[]  not null,
    cancelled  boolean not null,
    name       text,
    role       text,
    team       text,
    check (end_at > start_at)
);
create index duty_of_officer on duty (officer, start_at);
-- Every revision as it was received; the one that counts stands in duty.
create table duty_revision (
    duty_id     text    not null,
    revision    integer not null,
    digest      text    not null,        -- of the body: one revision may be sent twice with different contents
    body        jsonb   not null,
    recorded_at timestamptz not null default now(),
    primary key (duty_id, revision, digest)
);
create table allocation (
    duty     integer not null references duty,
    position integer not null,           -- its place in the booking's list
    device   integer not null references device,
    kind     text    not null check (kind in ('radio', 'vehicle')),
    start_at timestamptz,                -- null: the duty's own
    end_at   timestamptz,
    primary key (duty, position)
);
create index allocation_of_device on allocation (device);
create table state (
    officer integer     not null references officer,
    time    timestamptz not null,
    state   smallint    not null,
    primary key (officer, time, state)
);

-- ── Derived: closed rows in constrained tables, the growing end in one narrow row ─────────────────────────
create table stay (
    device   integer     not null,
    start_at timestamptz not null,
    end_at   timestamptz not null,
    place    integer,                    -- null: unknown
    primary key (device, end_at),        -- stays do not overlap, so ends are as unique as starts
    check (end_at > start_at),
    constraint a_device_is_in_one_place exclude using gist (
        int4range(device, device, '[]') with &&, tstzrange(start_at, end_at) with &&)
);
-- The stays from the last fixes on, which the next fix may change, and those last fixes.
create table stay_end (
    device  integer  primary key,
    stays   bigint[] not null default '{}',  -- start, end, place (-1 unknown) of each; microseconds since 1970
    fixes   bytea    not null default '',    -- time int64, lon float64, lat float64 of each, little endian
    whole   boolean  not null default true,  -- these are all the fixes there are
    closed  bigint   not null default -4611686018427387904,  -- no closed stay ends after this (microseconds)
    newest  bigint   not null default -4611686018427387904,  -- time of the last fix
    booked  bigint   not null default 0      -- goes up whenever an allocation of the device changes
) with (fillfactor = 50);

create table slice (
    duty     integer     not null,
    officer  integer     not null,
    start_at timestamptz not null,
    end_at   timestamptz not null,
    activity smallint    not null check (activity between 0 and 4),
    state    smallint    not null,           -- the radio status that is the reason, -1 none
    place    integer,                        -- null: unknown
    device   integer,                        -- null: none
    primary key (duty, start_at),
    check (end_at > start_at),
    constraint an_officer_does_one_thing exclude using gist (
        int4range(officer, officer, '[]') with &&, tstzrange(start_at, end_at) with &&)
);
-- The slices that the next fix may change, and the sums of the closed ones (microseconds by activity; the
-- sixth: on patch within priority areas).
create table slice_end (
    duty    integer  primary key,
    slices  bigint[] not null default '{}',  -- start, end, activity, state, place, device of each
    closed  bigint   not null default -4611686018427387904,  -- no closed slice ends after this
    settled bigint[] not null default '{0,0,0,0,0,0}'
) with (fillfactor = 50);

create function from_us(us bigint) returns timestamptz language sql immutable parallel safe as $$
    select case when us >= 4611686018427387904 then 'infinity'::timestamptz
                when us <= -4611686018427387904 then '-infinity'::timestamptz
                else timestamptz '1970-01-01 00:00:00+00' + (us / 1000000) * interval '1 second'
                     + (us % 1000000) * interval '1 microsecond' end
$$;

create table activity (activity smallint primary key, name text not null);
insert into activity values (0, 'break'), (1, 'not_visible'), (2, 'unknown'), (3, 'on_patch'), (4, 'off_patch');

create view stays as
    select device, start_at, end_at, place from stay
    union all
    select device, from_us(stays[i]), from_us(stays[i + 1]), nullif(stays[i + 2], -1)::integer
    from stay_end, generate_series(1, cardinality(stays), 3) i;

create view slices as
    select duty, officer, start_at, end_at, activity, state, place, device from slice
    union all
    select duty, officer, from_us(slices[i]), from_us(slices[i + 1]), slices[i + 2]::smallint,
           slices[i + 3]::smallint, nullif(slices[i + 4], -1)::integer, nullif(slices[i + 5], -1)::integer
    from slice_end join duty using (duty), generate_series(1, cardinality(slices), 6) i;

-- ── How far the frames have been counted, in the same transaction as what came of them ────────────────────
create table frame_offset (
    topic       text    not null,
    partition   integer not null,
    incarnation text    not null,   -- a topic deleted and made again starts at 0 and is not old news
    next_offset bigint  not null,
    primary key (topic, partition)
);
