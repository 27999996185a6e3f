-- oldest: 0001
-- Who is signed in to the console, and the links that still sign in. Ids are kept as hashes only. `key_print` tells
-- whether the admin key was changed since.
create table sign_ins (
    id_hash blob primary key,
    who text not null,
    key_id text,
    key_print blob,
    started_at integer not null,
    seen_at integer not null
) strict, without rowid;
create table one_time_links (
    id_hash blob primary key,
    who text not null,
    made_at integer not null
) strict, without rowid;
