-- Dead letters that were sent again after a mend. Additive: programs of the version before know nothing of it and go on.

create table replayed (
    topic       text        not null,  -- where the message first stood
    partition   integer     not null,
    "offset"    bigint      not null,
    digest      bytea       not null,  -- SHA-256 of the message: a topic that is made again has its offsets again
    reason      text        not null,  -- why it was a dead letter
    replayed_at timestamptz not null default now(),
    replayed_by text        not null,
    primary key (topic, partition, "offset", digest)
);
comment on table replayed is
    'dead letters that were sent again and counted as taken, the first time; however often they are sent, each is heard once';
