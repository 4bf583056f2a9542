-- What each tracker was seen to do on each day (rule 22): how often it reported, where it was silent, how far off it was.
-- Additive: programs of the version before know nothing of it; what they count meanwhile in order is looked at all the
-- same, and what came late to them is not, so end their workers before the new ones start. Where that was forgotten,
-- insert into device_due select device, day from device_day has every day looked at again.

-- ── What was seen ─────────────────────────────────────────────────────────────────────────────────────────
-- A row a device and local day, some 160 bytes; all of it can be made again from fix.
create table device_day (
    device    integer          not null,
    day       integer          not null,  -- local, days since 1970-01-01
    fixes     integer          not null check (fixes > 0),
    jumps     integer          not null,  -- fixes ignored by rule 3
    intervals integer          not null,  -- legs that begin on the day
    median_ms bigint           not null,
    p95_ms    bigint           not null,
    near      integer          not null,  -- fixes near the box around all areas
    far       integer          not null,  -- fixes far from it
    far_m     double precision not null,  -- the farthest of these
    first_at  timestamptz      not null,
    last_at   timestamptz      not null,
    gaps      bigint[]         not null,  -- start, end of each leg within the day that may be a silence; microseconds
    primary key (device, day)
) with (fillfactor = 80);
create index device_day_of_day on device_day (day);
comment on table device_day is
    'what the fixes of a device on a local day are worth, as of the last look (device_seen, device_due say what has changed)';

-- ── What is to be looked at again ─────────────────────────────────────────────────────────────────────────
-- Nothing but rows that come and go: whoever looks takes away what it saw, and never what came since.
create table device_due (
    device integer not null,
    day    integer not null
);
create index device_due_of_day on device_due (day, device);
comment on table device_due is
    'days of devices with facts that came late, written by the transaction that counts, and days yet to be looked at';

create table device_seen (
    device integer primary key,
    newest bigint  not null  -- microseconds
);
comment on table device_seen is
    'up to which fix the days of a device are in device_day or device_due; stay_end.newest says what came since in order';

create table device_day_basis (
    one      boolean            primary key default true check (one),
    areas    text               not null,  -- changes with every version published or withdrawn
    box      double precision[] not null,  -- west, south, east, north of all areas; empty where there are none
    policies jsonb              not null   -- from, jump_speed_mps, max_gap_s of each
);
comment on table device_day_basis is
    'by which boundaries and policies device_day was made: where another comes in force, the days that it may change are due';

-- ── For people with SQL ───────────────────────────────────────────────────────────────────────────────────
create view device_days as
    select device_id, date '1970-01-01' + day as day, fixes as positions, jumps, intervals,
           median_ms / 1000.0 as interval_median_s, p95_ms / 1000.0 as interval_p95_s, far, far_m, first_at, last_at
    from device_day join device using (device);
comment on view device_days is
    'by device and local day: positions, jumps (rule 3), intervals, positions over 50 km outside all areas and the '
    'farthest of them in metres; as of the last look, every PATROL_EXAMINE_S';
