-- Officers of whom the name has gone (stream/store/persons.py), and how a published report loses it.
create table erased_person (
    person    integer     primary key generated always as identity,
    salt      bytea       not null,
    digest    bytea       not null,  -- SHA-256 of salt and id: what comes late under the name is known by it
    pseudonym text        not null unique,
    why       text        not null,
    erased_by text        not null,
    erased_at timestamptz not null default now()
);
comment on table erased_person is 'officers whose name and id were erased, by a salted hash, and what stands in their place';

create or replace function report_stands() returns trigger language plpgsql as $$
begin
    -- A person's name may be taken out of what was published, by a transaction that says so; nothing else may change.
    if current_setting('patrol.erasing', true) = 'on'
        and (to_jsonb(new) - 'document' - 'sha256' - 'figures_sha256')
            = (to_jsonb(old) - 'document' - 'sha256' - 'figures_sha256') then
        return new;
    end if;
    raise exception 'report % of % for % was published and cannot be changed: publish the next number',
        old.number, old.area_id, old.period;
end $$;
