-- Facts in column chunks: what a device reported within an hour is one row of some six bytes a fix, where a row a fix
-- took 111. The table fix becomes a view of the same columns. Nothing is rewritten here: the rows there are stay where
-- they are, as fix_row, until the worker closes their hours, in small transactions.
--
-- A program of the version before, still running: what it holds in a transaction is finished first (this lock is the one
-- that every batch takes). From then on it waits with an error, for it cannot write into a view, and writes nothing more;
-- its frames wait in Kafka for a program of this version. Reading goes on.
select pg_advisory_xact_lock(123563867766786); -- 0x7061_7472_0002, AREAS_LOCK

alter table fix rename to fix_row;
alter index fix_pkey rename to fix_row_pkey;
alter index fix_by_time rename to fix_row_by_time;
comment on table fix_row is 'fixes as a program of the version before wrote them, one a row; the worker packs and empties it';

-- ── Runs: fixes of one device within one hour of UTC, packed (stream/store/packed.py) ─────────────────────
create table fix_open (
    device integer not null,
    at     bigint  not null,  -- time of the first fix, microseconds since 1970: unique, for identities are
    n      integer not null,  -- how many fixes
    data   bytea   not null,
    primary key (device, at)
);
comment on table fix_open is
    'runs of fixes as they came, several an hour: of hours that are not over, late ones, and of days of which there is little';
-- Rows come and go within an hour or two.
alter table fix_open alter column data set storage external,
    set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);

create table fix_chunk (
    device integer not null,
    at     bigint  not null,
    n      integer not null,
    data   bytea   not null,
    primary key (device, at)
) partition by range (at);
comment on table fix_chunk is
    'hours of devices that are over, one row each, in a partition for each day of UTC: fix_chunk_20261130';
alter table fix_chunk alter column data set storage external;

-- ── Times as the tables have them ─────────────────────────────────────────────────────────────────────────
create function fix_us(moment timestamptz) returns bigint language sql immutable parallel safe as $$
    select case when moment = 'infinity' then 4611686018427387904
                when moment = '-infinity' then -4611686018427387904
                else (extract(epoch from moment - timestamptz '1970-01-01 00:00:00+00') * 1000000)::bigint end
$$;
comment on function fix_us is 'microseconds since 1970; the reverse of from_us';
create function fix_hour(us bigint) returns bigint language sql immutable parallel safe as $$
    select us - ((us % 3600000000) + 3600000000) % 3600000000
$$;
comment on function fix_hour is 'the beginning of the hour that a time is in; no run goes beyond one';

-- ── Reading them in SQL ───────────────────────────────────────────────────────────────────────────────────
create function fix_number(bits bigint) returns double precision language sql immutable parallel safe as $$
    select case when exponent = 2047 then case when part = 0 then sign * 'infinity'::float8 else 'nan' end
                when exponent = 0 then sign * (part * power(2::float8, -537) * power(2::float8, -537))
                else sign * ((part + 4503599627370496)::float8 * power(2::float8, greatest(exponent - 1075, -537))
                             * power(2::float8, least(exponent - 1075 + 537, 0))) end
    from (select case when bits < 0 then -1::float8 else 1 end as sign, (bits >> 52) & 2047 as exponent,
                 bits & 4503599627370495 as part) number
$$;
comment on function fix_number is 'the float8 of 64 bits';

create function fix_small_number(bits bigint) returns real language sql immutable parallel safe as $$
    select case when exponent = 255 then case when part = 0 then (sign * 'infinity'::float8)::real else 'nan' end
                when exponent = 0 then (sign * part * power(2::float8, -149))::real
                else (sign * (part + 8388608) * power(2::float8, exponent - 150))::real end
    from (select case when bits >> 31 = 1 then -1::float8 else 1 end as sign, (bits >> 23) & 255 as exponent,
                 bits & 8388607 as part) number
$$;
comment on function fix_small_number is 'the float4 of 32 bits';

create function fix_rows(at bigint, n integer, data bytea)
    returns table ("time" timestamptz, lon double precision, lat double precision, error_m double precision,
                   speed_mps real, heading_deg real)
    language plpgsql immutable parallel safe rows 700 as $$
declare
    blocks constant integer := 1 + (n + 14) / 16;
    head constant bytea := substr(data, 1, 11 + 6 * blocks);  -- read once from where it is stored
    bits constant varbit := ('x' || encode(substr(data, 12 + 6 * blocks), 'hex'))::varbit;
    step constant bigint := ('x' || encode(substr(head, 2, 4), 'hex'))::bit(32)::bigint;
    told float8[] := array_fill(null::float8, array[6 * n]);
    mode integer;
    tens float8;
    width integer;
    place integer := 1;
    i integer;
    until integer;
    whole bigint;
    u bigint;
begin
    if get_byte(head, 0) <> 1 then
        raise 'these fixes are in a form that a newer version of the program has written';
    end if;
    for c in 0..5 loop
        mode := get_byte(head, 5 + c);
        tens := power(10::float8, mode & 63);
        whole := 0;
        i := c * n;
        for block in 0..blocks - 1 loop
            width := get_byte(head, 11 + c * blocks + block);
            until := case block when 0 then c * n + 1 else least(i + 16, (c + 1) * n) end;
            while i < until loop
                i := i + 1;
                u := substring(bits from place for width)::bigint;
                place := place + width;
                if mode = 128 then  -- as it is
                    told[i] := case when c = 0 then u when c < 4 then fix_number(u) else fix_small_number(u) end;
                elsif c = 0 then  -- times: multiples of tens microseconds, and of the step between two
                    whole := whole + ((u >> 1) # -(u & 1)) + case block when 0 then 0 else step end;
                    told[i] := whole * tens;
                elsif mode < 64 then  -- decimals, none missing
                    whole := whole + ((u >> 1) # -(u & 1));
                    told[i] := whole / tens;
                elsif u = 0 then
                    told[i] := 'nan';
                else
                    u := u - 1;
                    whole := whole + ((u >> 1) # -(u & 1));
                    told[i] := whole / tens;
                end if;
            end loop;
        end loop;
    end loop;
    return query select from_us(at + told[r]::bigint), told[n + r], told[2 * n + r], told[3 * n + r],
                        told[4 * n + r]::real, told[5 * n + r]::real
                 from generate_series(1, n) r;
end
$$;
comment on function fix_rows is 'the fixes of a run: select f.* from fix_chunk c cross join lateral fix_rows(c.at, c.n, c.data) f';

create view fix as
    select device, f.* from fix_open r cross join lateral fix_rows(r.at, r.n, r.data) f
    union all
    select device, f.* from fix_chunk r cross join lateral fix_rows(r.at, r.n, r.data) f
    union all
    select device, time, lon, lat, error_m, speed_mps, heading_deg from fix_row;
comment on view fix is
    'every fix; of a year ask by device, or with fixes(since, until): what is not asked for is unpacked all the same';

-- The runs with a fix in a period: those that begin in it or less than an hour before.
create function fixes(since timestamptz, until timestamptz)
    returns table (device integer, "time" timestamptz, lon double precision, lat double precision,
                   error_m double precision, speed_mps real, heading_deg real)
    language sql stable as $$
    select r.device, f.*
    from (select device, at, n, data from fix_open
          where at >= fix_hour(fix_us(since)) and at < fix_us(until)
          union all
          select device, at, n, data from fix_chunk
          where at >= fix_hour(fix_us(since)) and at < fix_us(until)) r
    cross join lateral fix_rows(r.at, r.n, r.data) f
    where f.time >= since and f.time < until
    union all
    select r.device, r.time, r.lon, r.lat, r.error_m, r.speed_mps, r.heading_deg
    from fix_row r where r.time >= since and r.time < until
$$;
comment on function fixes is
    'every fix of a period, by the partitions of its days: '
    'select * from fixes(''2026-11-16 07:00 Europe/London'', ''2026-11-16 08:00 Europe/London'') where device = 7';

-- Rows of the version before as runs, not packed but of the same form, for programs that read all alike.
create function fix_written(whose integer[], low bigint, high bigint)
    returns table (device integer, at bigint, n integer, data bytea)
    language sql stable as $$
    select device, at, n,
           '\x0100000000808080808080'::bytea
           || decode(repeat('20', blocks) || repeat('40', 3 * blocks) || repeat('20', 2 * blocks), 'hex')
           || times || lons || lats || errors || speeds || headings
    from (
        select device, at, count(*)::integer as n, (1 + (count(*) + 14) / 16)::integer as blocks,
               string_agg(substr(int8send(us - at), 5), '' order by us) as times,
               string_agg(float8send(lon), '' order by us) as lons,
               string_agg(float8send(lat), '' order by us) as lats,
               string_agg(float8send(error_m), '' order by us) as errors,
               string_agg(float4send(speed_mps), '' order by us) as speeds,
               string_agg(float4send(heading_deg), '' order by us) as headings
        from (
            select *, min(us) over (partition by device, fix_hour(us)) as at
            from (select *, fix_us(time) as us from fix_row
                  where fix_row.device = any(whose) and time >= from_us(low) and time <= from_us(high)) moment
        ) hour
        group by device, at
    ) run
$$;

-- ── A whole force that is elsewhere has no share (rule 15): the same as before, but over fixes() ──────────
create or replace function everybody_far(since timestamptz, until timestamptz)
    returns boolean
    language sql stable as $$
    -- Nearly always somebody is in some area: then no position is looked at.
    select case when exists (
        select from slices s join place p using (place)
        where s.end_at > since and s.start_at < until
            and (p.neighbourhood is not null or p.premises is not null or p.priorities <> '{}')
    ) then false else coalesce((
        select not exists (
            select from fixes(since, until) f cross join lateral (
                select sin(radians(f.lat - greatest(south, least(north, f.lat))) / 2) ^ 2
                    + cos(radians(f.lat)) * cos(radians(greatest(south, least(north, f.lat))))
                    * sin(radians(f.lon - greatest(west, least(east, f.lon))) / 2) ^ 2 as half_chord) d
            where 2 * 6371008.8 * asin(sqrt(least(half_chord, 1))) <= 5000
        ) and exists (select from fixes(since, until))
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
