-- oldest: 0001
-- Where events are sent. `seeds` are what the signing secrets are made of, beside a secret of the server, newest first:
-- in hex, each with the instant until which it signs, such as `5e1f@1800000000000`. `delivered` is the number in the
-- audit trail up to which everything was delivered.
create table webhooks (
    webhook_id text primary key,
    url text not null,
    events text not null,
    description text not null,
    created_at integer not null,
    seeds text not null,
    delivered integer not null,
    revision integer not null,
    failing_since integer,
    disabled_at integer,
    disabled_why text
) strict, without rowid;
-- How attempts went, for a day. `number` is that of the event, 0 of a test.
create table webhook_deliveries (
    webhook_id text not null,
    at integer not null,
    number integer not null,
    event text not null,
    result text not null,
    status integer,
    took integer not null,
    primary key (webhook_id, at, number)
) strict, without rowid;
