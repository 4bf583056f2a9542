-- Who may sign in: accounts and their roles, sessions, tokens, and how often somebody has failed. Additive: programs of
-- the version before know nothing of it and go on. Of secrets only hashes are kept.

create table access_account (
    account     integer     primary key generated always as identity,
    name        text        not null unique check (name ~ '^[a-z0-9][a-z0-9._@+-]{0,99}$'),
    shown       text        not null check (shown <> ''),
    password    text,                  -- argon2id; null: nobody can sign in by one
    one_time_until timestamptz,        -- the password is a one-time password, good until then
    ticket      bytea unique,          -- SHA-256 of what a used one-time password was exchanged for
    ticket_until timestamptz,
    issuer      text,                  -- of a provider's account: which provider, and what it calls the person
    subject     text,
    locked_at   timestamptz,
    made_at     timestamptz not null,
    made_by     text        not null,
    signed_in_at timestamptz,
    unique (issuer, subject),
    check ((issuer is null) = (subject is null)),
    check ((ticket is null) = (ticket_until is null)),
    check (one_time_until is null or password is not null)
);
comment on table access_account is 'people and devices that may sign in';

create table access_grant (
    account        integer not null references access_account on delete cascade,
    role           text    not null,
    neighbourhoods text[],  -- null: all of the force
    officer        text,    -- of role officer: whose own record
    check (cardinality(neighbourhoods) > 0),
    unique nulls not distinct (account, role, neighbourhoods, officer)
);
comment on table access_grant is 'which roles an account has, and how far each reaches';

create table access_session (
    digest   bytea       primary key,  -- SHA-256 of the cookie
    account  integer     not null references access_account on delete cascade,
    means    text        not null,     -- how it began: password, openid
    made_at  timestamptz not null,
    used_at  timestamptz not null,
    until_at timestamptz not null,
    address  text        not null,
    agent    text        not null,     -- what the browser calls itself
    provider_session text               -- the provider's id of its session, to end with it
);
create index on access_session (account);
create index on access_session (provider_session) where provider_session is not null;
comment on table access_session is 'who is signed in';

create table access_token (
    token    integer     primary key generated always as identity,
    digest   bytea       not null unique,  -- SHA-256 of it
    account  integer     not null references access_account on delete cascade,
    label    text        not null check (label <> ''),
    roles    text[]      not null check (cardinality(roles) > 0),  -- of the account's, as long as it has them
    made_at  timestamptz not null,
    until_at timestamptz not null,
    used_at  timestamptz,
    ended_at timestamptz
);
create index on access_token (account);
comment on table access_token is 'what programs sign in with';

create table access_browser (
    digest  bytea       not null,  -- SHA-256 of its cookie
    account integer     not null references access_account on delete cascade,
    made_at timestamptz not null,
    primary key (digest, account)
);
create index on access_browser (account);
comment on table access_browser is
    'browsers in which an account has signed in before: failures elsewhere do not keep its owner out of them';

create table access_attempt (
    bucket bytea            primary key,  -- SHA-256 of what is counted: an address, an account, both, a browser
    level  double precision not null,     -- attempts that are not forgotten yet
    at     timestamptz      not null
);
create index on access_attempt (at);
comment on table access_attempt is 'how often signing in was tried lately, as leaky buckets';
