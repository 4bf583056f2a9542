-- Who published which boundaries and why, what the checks said, and what a change did to figures already counted
-- (rule 20). A version is never deleted: one that was taken back is withdrawn and stays readable.
alter table area_version
    add column why           text,
    add column findings      jsonb not null default '[]',  -- of the checks: severity, code, area, text, what was done
    add column withdrawn_by  text,
    add column withdrawn_why text;

create table restatement (
    restatement integer generated always as identity primary key,
    cause       text        not null check (cause in ('areas published', 'areas withdrawn', 'facts', 'duties')),
    version     integer,                 -- the boundaries concerned, where the cause is theirs
    since       timestamptz not null,    -- what was counted from here on was counted anew
    recorded_at timestamptz not null default now(),
    recorded_by text        not null,
    why         text        not null
);
-- Only figures that changed. Microseconds: break, not visible, unknown, on patch, off patch, and the part of on
-- patch within priority areas; null where there was, or is, no figure.
create table restated (
    restatement integer  not null references restatement,
    scope       text     not null check (scope in ('force', 'neighbourhood', 'officer')),
    id          text     not null,
    week        text     not null check (week ~ '^\d{4}-W\d\d$'),
    before      bigint[] check (cardinality(before) = 6),
    after       bigint[] check (cardinality(after) = 6),
    primary key (restatement, week, scope, id),
    check (before is distinct from after)
);
create index restated_of_week on restated (week, scope, id);
