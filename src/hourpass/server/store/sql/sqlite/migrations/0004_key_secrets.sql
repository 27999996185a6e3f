-- oldest: 0001
-- An API key is a record with secrets: one in `key_secrets`, two while a rotation is under way. A program of before knows
-- one secret, the `digest` beside the record, and goes on with it; it knows none of the members that are new.
-- `more_audiences` are those beside the first one, which stays in `audience`. `claims` and `tags` are JSON objects, empty
-- if there are none. Grants and tokens from before `valid_from` are dead, and tokens from before `tokens_from`.
alter table api_keys add column more_audiences text not null default '';
alter table api_keys add column claims text not null default '';
alter table api_keys add column tags text not null default '';
alter table api_keys add column access_token_lifetime integer;
alter table api_keys add column self_rotation integer not null default 0;
alter table api_keys add column external_id text;
alter table api_keys add column raw_until integer;
alter table api_keys add column raw_until_set_at integer;
alter table api_keys add column valid_from integer;
alter table api_keys add column tokens_from integer;
alter table api_keys add column disabled_at integer;
alter table api_keys add column revoked_why text;
create unique index api_keys_external_id on api_keys (external_id) where external_id is not null;

-- A secret is found by its digest, and only by it if the key is not of our own making.
create table key_secrets (
    digest blob primary key,
    key_id text not null,
    n integer not null,
    created_at integer not null,
    first_used_at integer,
    ends_at integer,
    seed blob
) strict, without rowid;
create index key_secrets_of_key on key_secrets (key_id);
insert into key_secrets (digest, key_id, n, created_at) select digest, key_id, 0, created_at from api_keys;

-- A slow or salted hash that came with an import, until its key is used for the first time. `lookup` is how the key's
-- text begins, the one thing to find it by.
create table slow_hashes (
    lookup text not null,
    key_id text not null,
    algorithm text not null,
    hash text not null,
    created_at integer not null,
    primary key (lookup, key_id)
) strict, without rowid;

-- Which hashes the digests of imported keys are made of, so that a look-up tries no others.
create table key_hashes (
    algorithm text primary key,
    created_at integer not null
) strict, without rowid;

-- When a key was last used, how (`exchanged`, `refreshed`, `raw`) and from which address: 4 or 16 bytes. Written in
-- batches; what was used just before a crash may be missing.
create table key_uses (
    key_id text not null,
    kind text not null,
    at integer not null,
    address blob,
    primary key (key_id, kind)
) strict, without rowid;

-- From which address a grant was opened, as `last_from`.
alter table grants add column opened_from blob;
