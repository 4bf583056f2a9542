-- What later facts change in settled weeks is on record too (rule 20). Programs of the version before go on: they mark
-- nothing, and what they count is found as soon as a newer one marks anything of the same week.

-- A week is settled from when its reports are first about to be published. From then on the record says of each of its
-- figures what it is, without a hole.
create table settled_week (
    week       text        primary key check (week ~ '^\d{4}-W\d\d$'),
    end_at     timestamptz not null,
    settled_at timestamptz
);
comment on column settled_week.end_at is 'the Monday 00:00, local, at which it ends';
comment on column settled_week.settled_at is
    'since when its figures are in settled; null: facts that reach into it are marked already, and it will be settled';

create table settled (
    week      text     not null references settled_week,
    scope     text     not null check (scope in ('force', 'neighbourhood', 'officer')),
    id        text     not null,
    has_share boolean  not null,
    times     bigint[] not null check (cardinality(times) = 11),
    primary key (week, scope, id)
);
comment on table settled is
    'the figures of settled weeks as they are on record: as they were when the week was settled, and then as the '
    'last restatement left them';
comment on column settled.times is 'microseconds, in the order of restated.after';

-- Written by the transaction that counts; whoever restates takes what it saw away.
create table restatement_due (
    mark     bigint generated always as identity primary key,
    kind     text        not null check (kind in ('positions', 'state', 'duty', 'doubt')),
    name     text        not null,
    revision integer,
    officer  text,
    start_at timestamptz not null,
    end_at   timestamptz not null,
    first_at timestamptz not null,
    last_at  timestamptz not null
);
comment on table restatement_due is
    'facts counted since that lie in settled weeks, or reach into one: they may have changed its figures';
comment on column restatement_due.name is 'of the device, the duty, or, of a state, the officer';
comment on column restatement_due.start_at is 'what it may have changed lies between this and end_at';
comment on column restatement_due.first_at is 'the facts themselves lie between this and last_at';
comment on column restatement_due.officer is 'whose figures it may have changed; null: not known';

alter table restatement drop constraint restatement_cause_check;
alter table restatement add constraint restatement_cause_check
    check (cause in ('areas published', 'areas withdrawn', 'facts', 'duties', 'policy', 'later facts'));
-- Whether there is a share may change by itself: a duty gets a home patch, or has none any more.
alter table restated add column had_share boolean;
comment on column restated.has_share is
    'whether the figure after has a share: false for an officer none of whose duties had a home patch that week';
comment on column restated.had_share is 'the same of the figure before; null: as after, in records of older programs';
alter table restated drop constraint restated_check;
alter table restated add constraint restated_check
    check (before is distinct from after or had_share is distinct from has_share);
create index restatement_by_time on restatement (recorded_at);

-- ── A recompute that was stopped goes on where it was ─────────────────────────────────────────────────────
alter table recomputed add column present boolean;
comment on column recomputed.present is
    'whether any of the duty counted in the week before it was counted again; null in a note of an older program: as '
    'it does now';

create table recompute_run (
    start_at timestamptz not null,
    end_at   timestamptz not null,
    officer  text,
    edition  integer     not null,
    until_at timestamptz not null,
    begun_at timestamptz not null default now(),
    begun_by text        not null,
    why      text        not null
);
comment on table recompute_run is 'the recompute that has not ended yet, if there is one';
comment on column recompute_run.edition is 'the newest policy on record when it began';
comment on column recompute_run.until_at is 'up to where open duties are counted';

create table recompute_part (
    part     integer     primary key,
    devices  integer[]   not null,
    duties   integer[]   not null,
    start_at timestamptz not null,
    end_at   timestamptz not null,
    done     boolean     not null default false
);
comment on table recompute_part is 'what it counts again in one transaction each';
