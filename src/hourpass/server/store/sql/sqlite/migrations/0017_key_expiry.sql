-- oldest: 0001
-- Up to which key's end the notices of a kind are in the audit trail: everything in the order of (expires_at, key_id).
create table expiry_notices (
    days integer primary key,
    expires_at integer not null,
    key_id text not null
) strict;
create index api_keys_expiry on api_keys (expires_at, key_id) where expires_at is not null and revoked_at is null;
