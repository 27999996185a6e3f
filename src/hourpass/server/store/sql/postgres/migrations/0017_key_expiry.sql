-- oldest: 0001
-- Up to which key's end the notices of a kind are in the audit trail: everything in the order of (expires_at, key_id).
create table expiry_notices (
    days bigint primary key,
    expires_at bigint not null,
    key_id text collate "C" not null
);
create index api_keys_expiry on api_keys (expires_at, key_id) where expires_at is not null and revoked_at is null;
