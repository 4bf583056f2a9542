-- Days of positions are made and dropped by processes that own nothing (deploy/roles.md): a partition needs the owner of
-- its table. Additive: programs of the version before do it as the owner, as they did.

create function fix_chunk_name(begins bigint) returns text language plpgsql stable as $$
declare
    home text := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where c.oid = 'fix_chunk'::regclass);
begin
    if begins % 86400000000 <> 0 then
        raise exception 'a day begins at midnight UTC' using errcode = 'invalid_parameter_value';
    end if;
    return format('%I.%I', home, 'fix_chunk_' || to_char(
        timestamp '1970-01-01' + begins / 1000000 * interval '1 second', 'YYYYMMDD'));
end
$$;

-- Makes the day of chunks that begins at so many microseconds, where it is not there; the caller's lock_timeout holds.
create function fix_chunk_day(begins bigint) returns void language plpgsql security definer as $$
begin
    execute format('create table if not exists %s partition of fix_chunk for values from (%s) to (%s)',
                   fix_chunk_name(begins), begins, begins + 86400000000);
end
$$;

-- Drops it.
create function fix_chunk_drop(begins bigint) returns void language plpgsql security definer as $$
begin
    execute format('drop table %s', fix_chunk_name(begins));
end
$$;

-- They run as the owner: the names in them are those of this schema, whoever calls them.
do $$
declare
    name text;
begin
    foreach name in array array['fix_chunk_name', 'fix_chunk_day', 'fix_chunk_drop'] loop
        execute format('alter function %I(bigint) set search_path = %I, pg_temp', name, current_schema());
        execute format('revoke execute on function %I(bigint) from public', name);
    end loop;
end
$$;
grant execute on function fix_chunk_name(bigint) to public;
