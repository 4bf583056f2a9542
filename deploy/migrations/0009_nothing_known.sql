-- A figure of duty time of which nothing at all is known has no share, no bounds and no verdict (rule 15).
-- Programs of the version before read it as they read a figure without duty time.

create or replace function shares(since timestamptz, until timestamptz)
    returns table (scope text, id text, since_at timestamptz, until_at timestamptz, duty_s numeric,
                   on_patch_s numeric, off_patch_s numeric, not_visible_s numeric, unknown_s numeric,
                   break_s numeric, priority_s numeric, share double precision, share_low double precision,
                   share_high double precision, target double precision, verdict text, doubtful_s numeric,
                   attested_s numeric)
    language sql stable as $$
    with sums as (
        select scope, id, has_share,
               coalesce(sum(on_break), 0)::bigint as on_break,
               coalesce(sum(not_visible), 0)::bigint as not_visible,
               coalesce(sum(unknown), 0)::bigint as unknown,
               coalesce(sum(on_patch), 0)::bigint as on_patch,
               coalesce(sum(off_patch), 0)::bigint as off_patch,
               coalesce(sum(priority), 0)::bigint as priority,
               (coalesce(sum(ambiguous_on), 0) + coalesce(sum(doubtful_on), 0))::bigint as open_on,
               (coalesce(sum(ambiguous_off), 0) + coalesce(sum(doubtful_off), 0))::bigint as open_off,
               coalesce(sum(doubtful), 0)::bigint as doubtful
        from (select * from figure_duties(since, until)
              union all select 'force', 'force', true, null) m
        left join duty_times(since, until) t using (duty)
        left join doubtful_times(since, until) f using (duty)
        group by scope, id, has_share
    ), figures as (
        select *, not_visible + unknown + on_patch + off_patch as duty,
               case when has_share then nullif(not_visible + on_patch + off_patch, 0) + unknown end as whole
        from sums
    ), bounded as (
        select *, on_patch::float8 / whole as share, (on_patch - open_on)::float8 / whole as low,
               (on_patch + unknown + open_off)::float8 / whole as high
        from figures
    )
    select scope, id, since, until, seconds(duty), seconds(on_patch), seconds(off_patch), seconds(not_visible),
           seconds(unknown), seconds(on_break), seconds(priority), share, low, high, y.target,
           case when low >= y.target then 'met' when high < y.target then 'missed'
                when share is not null then 'not proven' end, seconds(doubtful), 0::numeric
    from bounded, policy_span y
    where since >= y.valid_from and since < y.valid_to
$$;
comment on function shares is
    'the figures of the force, of neighbourhoods and of officers for a period (rules 13 to 15, 21): '
    'select * from shares(''2026-11-16 Europe/London'', ''2026-11-23 Europe/London'')';
