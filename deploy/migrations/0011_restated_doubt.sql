-- What a restatement says of before and after has the doubtful time with it (rules 20 and 21), and says whether the
-- figure has a share. Programs of the version before write eight sums, and read eleven as they read eight.
alter table restated
    drop constraint before_has_eight_sums,
    drop constraint after_has_eight_sums,
    add constraint before_has_eight_sums_or_eleven check (cardinality(before) in (8, 11)),
    add constraint after_has_eight_sums_or_eleven check (cardinality(after) in (8, 11)),
    add column has_share boolean not null default true;
comment on column restated.before is
    'microseconds, in the order of slice_end.settled; the last two of eight null where they were not counted then; '
    'behind them doubtful time: all of it, and of it on patch and not what is not ambiguous as well; '
    'left out where it was not counted then';
comment on column restated.has_share is
    'false: an officer none of whose duties had a home patch that week, so that there is no share';

update restated r set has_share = false
where scope = 'officer' and not exists (
    select from duty join officer using (officer) where officer_id = r.id and patch <> '{}' and not cancelled);

alter table recomputed
    add column counted boolean not null default true,
    add column doubtful bigint[] check (cardinality(doubtful) = 3);
comment on table recomputed is
    'the duties that a recompute that has not ended yet counts again, by week; counted: it has';
comment on column recomputed.doubtful is
    'the duty''s doubtful time of the week as it was judged before, like the end of restated.before: what it rises by '
    'is known when it is judged again; null in a note of an older program, which says nothing of it';
