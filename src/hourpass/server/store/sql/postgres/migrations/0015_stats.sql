-- oldest: 0001
-- How often something happened, for the overview: one row for each node and minute (epoch minutes) in which anything did.
-- A node adds to its own rows alone. Kept for 8 days.
create table stats (
    minute bigint not null,
    node text collate "C" not null,
    exchanges bigint not null,
    refreshes bigint not null,
    retries bigint not null,
    replays bigint not null,
    refusals bigint not null,
    raw_accepted bigint not null,
    raw_refused bigint not null,
    bearer_accepted bigint not null,
    verify_refused bigint not null,
    unavailable bigint not null,
    failures bigint not null,
    primary key (minute, node)
);

-- What takes long to count, as it was counted last, and when.
create table measured (
    name text collate "C" primary key,
    value bigint not null,
    at bigint not null
);

-- What the audit trail says of a grant, of a key or of an event is found without reading all of it.
create index audit_of_grant on audit (grant_id) where grant_id is not null;
create index audit_of_key on audit (key_id, n) where key_id is not null;
create index audit_of_event on audit (event, n);
