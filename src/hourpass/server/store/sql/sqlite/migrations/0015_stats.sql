-- oldest: 0001
-- How often something happened, for the overview: one row for each node and minute (epoch minutes) in which anything did.
-- A node adds to its own rows alone. Kept for 8 days.
create table stats (
    minute integer not null,
    node text not null,
    exchanges integer not null,
    refreshes integer not null,
    retries integer not null,
    replays integer not null,
    refusals integer not null,
    raw_accepted integer not null,
    raw_refused integer not null,
    bearer_accepted integer not null,
    verify_refused integer not null,
    unavailable integer not null,
    failures integer not null,
    primary key (minute, node)
) strict, without rowid;

-- What takes long to count, as it was counted last, and when.
create table measured (
    name text primary key,
    value integer not null,
    at integer not null
) strict, without rowid;

-- What the audit trail says of a grant, of a key or of an event is found without reading all of it.
create index audit_of_grant on audit (grant_id) where grant_id is not null;
create index audit_of_key on audit (key_id, n) where key_id is not null;
create index audit_of_event on audit (event, n);
