-- oldest: 0001
-- Where events are sent. `seeds` are what the signing secrets are made of, beside a secret of the server, newest first:
-- in hex, each with the instant until which it signs, such as `5e1f@1800000000000`. `delivered` is the number in the
-- audit trail up to which everything was delivered.
create table webhooks (
    webhook_id text collate "C" primary key,
    url text not null,
    events text not null,
    description text not null,
    created_at bigint not null,
    seeds text not null,
    delivered bigint not null,
    revision bigint not null,
    failing_since bigint,
    disabled_at bigint,
    disabled_why text
);
-- How attempts went, for a day. `number` is that of the event, 0 of a test.
create table webhook_deliveries (
    webhook_id text collate "C" not null,
    at bigint not null,
    number bigint not null,
    event text not null,
    result text not null,
    status bigint,
    took bigint not null,
    primary key (webhook_id, at, number)
);
