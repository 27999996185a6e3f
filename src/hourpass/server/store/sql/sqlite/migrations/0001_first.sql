-- The first schema. Instants are integer epoch milliseconds (`…_at`).

-- One row: `version` grows with every change to API keys or signing keys, so that each process notices the others'.
create table control (
    only integer primary key check (only = 1),
    version integer not null
) strict;
insert into control (only, version) values (1, 0);

-- What no one may read without the master key: the pepper of the API keys, the ring of refresh secrets.
create table secrets (
    name text not null,
    kid text not null,
    sealed blob not null,
    created_at integer not null,
    primary key (name, kid)
) strict, without rowid;

create table signing_keys (
    kid text primary key,
    algorithm text not null,
    published_at integer not null,
    signs_from integer not null,
    retired_at integer,
    sealed blob not null
) strict, without rowid;

create table api_keys (
    key_id text primary key,
    name text not null,
    digest blob not null,
    subject text not null,
    scope text not null,
    environment text not null,
    audience text,
    retry_window integer,
    allowed_ips text not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer
) strict, without rowid;

-- One row for each grant, updated in place; never a token, nor a hash of one. No index beside the primary key, whose
-- columns never change; a key's grants lie together. `superseded` packs epoch milliseconds, 8 bytes each, newest first.
create table grants (
    key_id text not null,
    grant_id blob not null,
    generation integer not null,
    seed blob not null,
    superseded blob not null,
    scope text,
    created_at integer not null,
    idle_expires_at integer not null,
    expires_at integer not null,
    revoked_at integer,
    revoked_why text,
    primary key (key_id, grant_id)
) strict, without rowid;

-- `n` is never given out twice, or a reader that saw a later one would miss an entry.
create table revocations (
    n integer primary key autoincrement,
    kind text not null,
    value text not null,
    until integer not null
) strict;

create table audit (
    n integer primary key autoincrement,
    at integer not null,
    event text not null,
    key_id text,
    grant_id text,
    detail text not null
) strict;
