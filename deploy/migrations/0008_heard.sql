-- What was heard of each device on each day (rule 22): reports taken and rejected, and how late they came. Additive:
-- programs of the version before know nothing of it and go on.

-- ── The counts ────────────────────────────────────────────────────────────────────────────────────────────
-- A row a device and day, for a device reports with the same few delays all day: so a day costs some hundred bytes a
-- device, and half a minute of reports one narrow update a device.
create table heard (
    device  integer    not null,
    day     integer    not null,  -- local, days since 1970-01-01; -2147483648 where not known
    verdict smallint[] not null,  -- a row of heard_verdict
    delay   integer[]  not null,  -- receipt less the report's own time, rounded, seconds; 2147483647 where not known
    count   bigint[]   not null,
    primary key (device, day),
    check (cardinality(count) > 0 and cardinality(verdict) = cardinality(count)
           and cardinality(delay) = cardinality(count))
) with (fillfactor = 70);
comment on table heard is
    'how many reports of positions came of a device on a local day: by verdict and delay, sorted by both, each pair once';

create table heard_verdict (verdict smallint primary key, name text not null unique);
insert into heard_verdict values
    (-1, 'taken'), (0, 'not_json'), (1, 'missing_field'), (2, 'bad_value'), (3, 'not_a_fix'), (4, 'out_of_range'),
    (5, 'zero_position'), (6, 'error_too_large'), (7, 'in_future'), (8, 'too_old');
comment on table heard_verdict is 'taken, or why a report was rejected: the reasons of the dead letters';

-- ── Up to where they are counted, in the same transaction as the counts ───────────────────────────────────
create table heard_offset (
    topic       text    not null,
    partition   integer not null,
    incarnation text    not null,  -- a topic deleted and made again starts at 0 and is not old news
    next_offset bigint  not null,
    primary key (topic, partition, incarnation)
);
comment on table heard_offset is
    'messages of the topics from outside that are in heard: those before next_offset, so that none is counted twice';

-- ── For people with SQL ───────────────────────────────────────────────────────────────────────────────────
create view heard_reports as
    select device_id, case when day > -2147483648 then date '1970-01-01' + day end as day, v.name as verdict,
           nullif(r.delay, 2147483647) as delay_s, r.count as reports
    from heard h join device using (device)
    cross join unnest(h.verdict, h.delay, h.count) r (verdict, delay, count)
    join heard_verdict v on v.verdict = r.verdict;
comment on view heard_reports is
    'reports of positions by device, local day, verdict (taken, or the reason of the rejection) and delay in seconds: '
    'to 1 s below a minute, 10 s below ten, a minute below two days, an hour above; day and delay null where not known';

create view heard_days as
    select device_id, day, sum(reports) as reports, coalesce(sum(reports) filter (where verdict = 'taken'), 0) as taken,
           coalesce(sum(reports) filter (where verdict <> 'taken'), 0) as rejected
    from heard_reports group by device_id, day;
comment on view heard_days is 'reports of positions by device and local day: all, those taken and those rejected';
