-- What Kafka deleted before it was counted, on record with its hours: a table and a column more. Additive: programs of
-- the version before know nothing of it and go on.
alter table frame_offset add column sent_at timestamptz;
comment on column frame_offset.sent_at is
    'when the last message counted was sent, by Kafka''s record of it: what is missing after it was sent later';

create table no_longer_held (
    topic        text        not null,
    partition    integer     not null,
    incarnation  text        not null,  -- a topic deleted and made again starts at 0 and is not old news
    first_offset bigint      not null,
    next_offset  bigint      not null,
    sent_after   timestamptz,
    sent_before  timestamptz,
    found_at     timestamptz not null default now(),
    primary key (topic, partition, incarnation, first_offset),
    check (first_offset < next_offset)
);
comment on table no_longer_held is
    'messages that Kafka deleted before they were counted, offsets [first_offset, next_offset): what they told is in no '
    'figure; sent after sent_after and not after sent_before, each null where it is not known';
