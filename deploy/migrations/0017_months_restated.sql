-- A month that is published again is on record as a week's figures are (rule 20): beside them, under its own name. Programs
-- of the version before write no such rows, and ask for those of weeks.
alter table restatement drop constraint restatement_cause_check;
alter table restatement add constraint restatement_cause_check check (cause in (
    'areas published', 'areas withdrawn', 'facts', 'duties', 'policy', 'later facts', 'month published again'));
alter table restated drop constraint restated_week_check;
alter table restated add constraint restated_week_check check (week ~ '^\d{4}-(W\d\d|\d\d)$');
comment on column restated.week is
    'whose figure it is: an ISO week, or a month like 2026-10, whose figure is that of its reports before and after';
create index restated_of_figure on restated (scope, id, restatement);
comment on index restated_of_figure is 'what was restated of one neighbourhood, the newest first';
