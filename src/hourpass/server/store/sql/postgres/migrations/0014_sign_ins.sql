-- oldest: 0001
-- Who is signed in to the console, and the links that still sign in. Ids are kept as hashes only. `key_print` tells
-- whether the admin key was changed since.
create table sign_ins (
    id_hash bytea primary key,
    who text not null,
    key_id text collate "C",
    key_print bytea,
    started_at bigint not null,
    seen_at bigint not null
);
create table one_time_links (
    id_hash bytea primary key,
    who text not null,
    made_at bigint not null
);
