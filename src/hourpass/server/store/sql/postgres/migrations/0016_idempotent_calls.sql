-- oldest: 0001
-- Calls of the admin API that came with an Idempotency-Key, and their answers. `digest` is that of the caller and the key.
-- Without a `status` the call is reserved, and still runs or was interrupted. After `until` the row is as if it were not
-- there. Of a new secret only its place in the body is kept, and a digest: it is derived again from `seed`, the
-- Idempotency-Key and a secret of the server.
create table idempotent_calls (
    digest bytea primary key,
    fingerprint bytea not null,
    seed bytea not null,
    until bigint not null,
    status bigint,
    headers text,
    body bytea,
    secret_at bigint,
    secret_digest bytea
);
create index idempotent_calls_until on idempotent_calls (until);
