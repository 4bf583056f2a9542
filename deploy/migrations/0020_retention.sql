-- How long data are kept (stream/store/retention.py): holds, up to where facts are gone, and what was deleted.

create table hold (
    hold         integer     primary key generated always as identity,
    duty_id      text        not null,
    why          text        not null check (why <> ''),
    placed_by    text        not null,
    placed_at    timestamptz not null default now(),
    released_by  text,
    released_why text,
    released_at  timestamptz,
    check ((released_at is null) = (released_by is null) and (released_at is null) = (released_why is null))
);
create index hold_by_duty on hold (duty_id) where released_at is null;
comment on table hold is
    'duties whose facts are kept, whatever their age, because a complaint or a challenge is open, until it is released';

create table kept_from (
    one          boolean primary key default true check (one),
    counted_from bigint  not null default -4611686018427387904,
    facts_from   bigint  not null default -4611686018427387904,
    off_duty_to  bigint  not null default -4611686018427387904,
    slices_from  bigint  not null default -4611686018427387904,
    looked_at    timestamptz,
    left_over    integer not null default 0
);
insert into kept_from default values;
comment on table kept_from is
    'up to where facts are gone, microseconds since 1970: nothing before counted_from is counted again; positions before '
    'facts_from are deleted but for holds; those outside duties before off_duty_to; slices before slices_from';

create table deletion (
    deletion   integer     primary key generated always as identity,
    kind       text        not null,
    start_at   timestamptz not null,
    end_at     timestamptz not null,
    held       bigint      not null,
    rows       bigint      not null,
    bytes      bigint      not null,
    sha256     text        not null,
    why        text        not null,
    deleted_by text        not null,
    deleted_at timestamptz not null default now(),
    chain      text        not null
);
comment on table deletion is
    'what was deleted, never changed: rows and bytes of a kind between two times, the SHA-256 of what it was, the rows kept '
    'for holds, and a hash over this and the one before (patrol retain --check)';
create function deletions_stand() returns trigger language plpgsql as $$
begin
    raise 'what was deleted is on record for good: rows of deletion are not changed';
end
$$;
create trigger deletions_stand before update or delete on deletion
    for each row execute function deletions_stand();

-- Whether any of the positions deleted lay near an area: a whole force that was elsewhere has no share (rule 15).
create table erased_hour (
    at   bigint  primary key,
    near boolean not null
);
comment on table erased_hour is 'hours of which positions were deleted, microseconds since 1970, and whether any lay near an area';

create or replace function everybody_far(since timestamptz, until timestamptz)
    returns boolean
    language sql stable as $$
    -- Nearly always somebody is in some area: then no position is looked at.
    select case when exists (
        select from slices s join place p using (place)
        where s.end_at > since and s.start_at < until
            and (p.neighbourhood is not null or p.premises is not null or p.priorities <> '{}')
    ) or exists (
        select from erased_hour e where e.near and e.at >= fix_us(since) and e.at < fix_us(until)
    ) then false else coalesce((
        select not exists (
            select from fixes(since, until) f cross join lateral (
                select sin(radians(f.lat - greatest(south, least(north, f.lat))) / 2) ^ 2
                    + cos(radians(f.lat)) * cos(radians(greatest(south, least(north, f.lat))))
                    * sin(radians(f.lon - greatest(west, least(east, f.lon))) / 2) ^ 2 as half_chord) d
            where 2 * 6371008.8 * asin(sqrt(least(half_chord, 1))) <= 5000
        ) and (exists (select from fixes(since, until)) or exists (
            select from erased_hour e where e.at >= fix_us(since) and e.at < fix_us(until)))
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

-- Of stays, what may be shown: time in duties, with their officers not signed off.
create view duty_stays as
select s.device, d.duty, greatest(s.start_at, d.start_at, l.start_at, a.start_at) as start_at,
       least(s.end_at, l.end_at, coalesce(a.end_at, 'infinity')) as end_at, s.place
from allocation a
join duty d using (duty)
join slices l on l.duty = d.duty
join stays s on s.device = a.device and s.start_at < l.end_at and s.end_at > l.start_at
where greatest(s.start_at, d.start_at, l.start_at, a.start_at) < least(s.end_at, l.end_at, coalesce(a.end_at, 'infinity'));
comment on view duty_stays is
    'stays as far as they may be shown: while an officer on duty had the device, once for each slice of the duty';
