-- The first schema. Instants are integer epoch milliseconds (`…_at`); time always comes from the application.
-- Key ids and names sort by their bytes, whatever the database's language.

-- One row that hands out every number: the version of the keys, the newest revocation, the newest line of the audit
-- trail. Whoever takes a number holds the row until the commit, so numbers become visible in their order and without
-- gaps. A sequence would not do: it numbers before the commit, and a reader that saw 8 would never ask for a 7 that
-- came later.
create table control (
    the_row integer primary key check (the_row = 1),
    version bigint not null,
    last_revocation bigint not null,
    last_audit bigint not null,
    -- Raised by whoever restores a backup, so that readers of the revocations begin anew instead of missing some.
    numbered_since bigint not null
) with (fillfactor = 50);
insert into control (the_row, version, last_revocation, last_audit, numbered_since) values (1, 0, 0, 0, 0);

-- Who does what only one server has to do, and until when it may take its time.
create table leases (
    name text collate "C" primary key,
    holder text not null,
    until bigint not null
) with (fillfactor = 50);

-- What no one may read without the master key: the pepper of the API keys, the ring of refresh secrets.
create table secrets (
    name text collate "C" not null,
    kid text collate "C" not null,
    sealed bytea not null,
    created_at bigint not null,
    primary key (name, kid)
);

create table signing_keys (
    kid text collate "C" primary key,
    algorithm text not null,
    published_at bigint not null,
    signs_from bigint not null,
    retired_at bigint,
    sealed bytea not null
);

create table api_keys (
    key_id text collate "C" primary key,
    name text not null,
    digest bytea not null,
    subject text not null,
    scope text not null,
    environment text not null,
    audience text,
    retry_window bigint,
    allowed_ips text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

-- One row for each grant, updated in place; never a token, nor a hash of one. No index beside the primary key, whose
-- columns never change, and room on each page for a second version of every row: so a rotation stays on its page and
-- touches no index. `superseded` packs epoch milliseconds, 8 bytes each, newest first. The fixed-width columns come
-- first, so that no byte is lost to alignment.
create table grants (
    generation bigint not null,
    created_at bigint not null,
    idle_expires_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint,
    key_id text collate "C" not null,
    grant_id bytea not null,
    seed bytea not null,
    superseded bytea not null,
    scope text,
    revoked_why text,
    primary key (key_id, grant_id)
) with (fillfactor = 45);

create table revocations (
    n bigint primary key,
    kind text not null,
    value text not null,
    until bigint not null
);

create table audit (
    n bigint primary key,
    at bigint not null,
    event text not null,
    key_id text,
    grant_id text,
    detail text not null
);
