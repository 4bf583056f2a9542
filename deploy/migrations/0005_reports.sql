-- Published summaries as they were published, the mail that goes with them, and which weeks the timer has done.
-- Additive: programs of the version before know nothing of it and go on.
create table report (
    report         integer generated always as identity primary key,
    kind           text        not null check (kind in ('week', 'month')),
    period         text        not null check (period ~ '^\d{4}-(W\d\d|\d\d)$'),
    start_at       timestamptz not null,
    end_at         timestamptz not null check (end_at > start_at),
    area_id        text        not null,
    area_name      text        not null,
    number         integer     not null check (number >= 1),  -- 1, and one more whenever later facts changed it
    published_at   timestamptz not null,
    published_by   text        not null,
    as_of          timestamptz,           -- time of the newest fact within the period; null: none
    figures        bigint[]    not null check (cardinality(figures) = 8),
    target         double precision not null,
    share          double precision,      -- this and the next three: null where nobody had duty time
    share_low      double precision,
    share_high     double precision,
    verdict        text        check (verdict in ('met', 'missed', 'not proven')),
    figures_sha256 text        not null,  -- of what is counted in the period: as long as it is the same, no new number
    sha256         text        not null,  -- of the document
    document       bytea       not null,  -- the whole summary (stream.summary.encode)
    constraint one_report_a_number unique (period, area_id, number)
);
comment on column report.figures is 'microseconds, in the order of restated.before';

-- What was published stays as it was; it may be deleted when it is no longer to be kept, but never changed.
create function report_stands() returns trigger language plpgsql as $$
begin
    raise exception 'report % of % for % was published and cannot be changed: publish the next number',
        old.number, old.area_id, old.period;
end $$;
create trigger report_stands before update on report for each row execute function report_stands();

-- Letters, written in the transaction that publishes the report: no report without its letters, no letter without
-- its report. The Message-ID is fixed before the first try, so a mail server can tell a repetition.
create table outbox (
    report     integer     not null references report on delete cascade,
    recipient  text        not null,
    message_id text        not null unique,
    state      text        not null default 'queued' check (state in ('queued', 'sent', 'failed')),
    attempts   integer     not null default 0,
    queued_at  timestamptz not null,
    next_try   timestamptz not null,
    settled_at timestamptz,               -- when it was sent, or given up
    last_error text,
    primary key (report, recipient),
    check ((settled_at is null) = (state = 'queued'))
);
create index outbox_queued on outbox (next_try) where state = 'queued';

-- Which weeks each Monday's run has published. A week without a row has not been published yet.
create table report_run (
    due         timestamptz not null,     -- the Monday 06:00 that it was for
    week        text        not null check (week ~ '^\d{4}-W\d\d$'),
    finished_at timestamptz not null,
    published   integer     not null,     -- reports written; 0 where nothing had changed
    primary key (week, due)
);

create index duty_of_team on duty (team);
create index duty_by_start on duty (start_at) where not cancelled;
-- Slices close about in the order of their ends: so small an index finds those of a week (visits to its areas).
create index slice_by_end on slice using brin (end_at) with (pages_per_range = 32);
