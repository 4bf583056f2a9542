-- Sessions that began at an OpenID provider. Additive. What is kept of the provider's tokens is sealed with a key that
-- is made from the session's cookie, of which the database has only a hash: whoever reads the table reads nothing.

create table access_provided (
    digest bytea       primary key references access_session on delete cascade,
    sealed bytea       not null,
    due_at timestamptz not null   -- when the provider is asked again whether the person is still signed in
);
comment on table access_provided is 'sessions that began at an OpenID provider: its tokens, sealed';

create table access_message (
    digest   bytea       primary key,  -- SHA-256 of the id of a provider's message that somebody signed out
    until_at timestamptz not null
);
create index on access_message (until_at);
comment on table access_message is 'messages of the provider that have been heard: each counts once';
