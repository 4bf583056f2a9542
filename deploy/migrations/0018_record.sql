-- The record of who saw, changed and passed on what about whom (Data Protection Act 2018, section 62), and of who came in.
-- Additive: programs of the version before know nothing of it and go on.

create table record_entry (
    entry     bigint      primary key,         -- 1, 2, … without gaps: given out by the trigger below, with its time
    at        timestamptz not null,
    kind      text        not null check (kind in ('collection', 'alteration', 'consultation', 'disclosure', 'combination',
                                                   'erasure', 'sign-in', 'account', 'setting', 'publication')),
    what      text        not null check (what <> ''),
    outcome   text        not null check (outcome in ('done', 'refused', 'failed')),
    account   text        not null check (account <> ''),
    means     text        not null,
    source    text        not null,
    about     text[]      not null,
    why       text,
    details   json        not null,            -- json, and not jsonb: the bytes that were hashed are those that are kept
    db_role   text        not null,
    previous  bytea       not null,
    hash      bytea       not null
);
comment on table record_entry is
    'who did what, when, from where and about which officers ({*}: anybody); rows are added, and never changed; each hash '
    'covers the one before it: patrol audit verify';
create index record_about on record_entry using gin (about);
create index record_account on record_entry (account, entry);
create index record_at on record_entry (at);

-- The canonical form of a value: its length in bytes, a colon, the value; '-' for null. patrol audit verify has its own.
create function record_field(value text) returns text language sql immutable parallel safe as $$
    select coalesce(octet_length(convert_to(value, 'UTF8')) || ':' || value, '-')
$$;

create function record_hash(e record_entry) returns bytea language sql stable parallel safe as $$
    select sha256(e.previous || convert_to(concat_ws(',',
        record_field(e.entry::text), record_field(((extract(epoch from e.at) * 1000000)::int8)::text),
        record_field(e.kind), record_field(e.what), record_field(e.outcome), record_field(e.account),
        record_field(e.means), record_field(e.source), cardinality(e.about)::text,
        (select string_agg(record_field(item), ',' order by place) from unnest(e.about) with ordinality as t (item, place)),
        record_field(e.why), record_field(e.details::text), record_field(e.db_role)), 'UTF8'))
$$;

-- One writer at a time, from here to the end of its transaction. The number, the time, the role and the hashes are the
-- server's, whatever a client says. The lock is the program's own (Lock.RECORD); whoever cannot have it soon is told.
create function record_chain() returns trigger language plpgsql set lock_timeout = '5s' set search_path from current as $$
declare
    last record_entry;
begin
    perform pg_advisory_xact_lock(123563867766832);
    select * into last from record_entry order by entry desc limit 1;
    new.entry := coalesce(last.entry, 0) + 1;
    new.at := clock_timestamp();
    new.db_role := session_user;
    new.previous := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    new.hash := record_hash(new);
    return new;
end
$$;
create trigger record_chain before insert on record_entry for each row execute function record_chain();

create function record_stays() returns trigger language plpgsql as $$
begin
    raise exception 'the record is only added to' using errcode = 'insufficient_privilege';
end
$$;
create trigger record_stays before update on record_entry for each statement execute function record_stays();
create trigger record_stays_whole before truncate on record_entry for each statement execute function record_stays();

-- The oldest entries may go when their time is over: an entry of its own says up to which one, and that one's hash.
create function record_forgotten() returns trigger language plpgsql set search_path from current as $$
begin
    if exists (select from gone) and (
        (select max(entry) from gone) > coalesce((
            select max((details ->> 'upto')::bigint) from record_entry
            where kind = 'erasure' and what = 'the record' and outcome = 'done'), 0)
        or exists (select from record_entry where entry < (select max(entry) from gone))
    ) then
        raise exception 'the record is only added to' using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;
create trigger record_forgotten after delete on record_entry referencing old table as gone
    for each statement execute function record_forgotten();
