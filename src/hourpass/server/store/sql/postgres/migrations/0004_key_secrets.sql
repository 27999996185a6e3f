-- oldest: 0001
-- An API key is a record with secrets: one in `key_secrets`, two while a rotation is under way. A program of before knows
-- one secret, the `digest` beside the record, and goes on with it; it knows none of the members that are new.
-- `more_audiences` are those beside the first one, which stays in `audience`. `claims` and `tags` are JSON objects, empty
-- if there are none. Grants and tokens from before `valid_from` are dead, and tokens from before `tokens_from`.
alter table api_keys add column more_audiences text not null default '';
alter table api_keys add column claims text not null default '';
alter table api_keys add column tags text not null default '';
alter table api_keys add column access_token_lifetime bigint;
alter table api_keys add column self_rotation bigint not null default 0;
alter table api_keys add column external_id text collate "C";
alter table api_keys add column raw_until bigint;
alter table api_keys add column raw_until_set_at bigint;
alter table api_keys add column valid_from bigint;
alter table api_keys add column tokens_from bigint;
alter table api_keys add column disabled_at bigint;
alter table api_keys add column revoked_why text;
create unique index api_keys_external_id on api_keys (external_id) where external_id is not null;

-- A secret is found by its digest, and only by it if the key is not of our own making.
create table key_secrets (
    digest bytea primary key,
    key_id text collate "C" not null,
    n bigint not null,
    created_at bigint not null,
    first_used_at bigint,
    ends_at bigint,
    seed bytea
);
create index key_secrets_of_key on key_secrets (key_id);
insert into key_secrets (digest, key_id, n, created_at) select digest, key_id, 0, created_at from api_keys;

-- A slow or salted hash that came with an import, until its key is used for the first time. `lookup` is how the key's
-- text begins, the one thing to find it by.
create table slow_hashes (
    lookup text collate "C" not null,
    key_id text collate "C" not null,
    algorithm text not null,
    hash text not null,
    created_at bigint not null,
    primary key (lookup, key_id)
);

-- Which hashes the digests of imported keys are made of, so that a look-up tries no others.
create table key_hashes (
    algorithm text collate "C" primary key,
    created_at bigint not null
);

-- When a key was last used, how (`exchanged`, `refreshed`, `raw`) and from which address: 4 or 16 bytes. Written in
-- batches; what was used just before a crash may be missing.
create table key_uses (
    key_id text collate "C" not null,
    kind text collate "C" not null,
    at bigint not null,
    address bytea,
    primary key (key_id, kind)
);

-- From which address a grant was opened, as `last_from`.
alter table grants add column opened_from bytea;
