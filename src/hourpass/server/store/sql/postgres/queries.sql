-- The statements that PostgreSQL has for itself. All others are the common ones in ../queries.sql.
-- A batch is one statement. Its rows come as arrays, in the order of keys and ids, and are locked in that order.
-- Its parameters have names (:key_id), with an array for each column.

-- name: add_grants
-- Store a batch of new grants.
insert into grants (grant_id, key_id, generation, seed, superseded, scope, created_at, idle_expires_at, expires_at,
    revoked_at, revoked_why, last_from, opened_from, audience)
select * from unnest(
    :grant_id::bytea[], :key_id::text[], :generation::bigint[], :seed::bytea[], :superseded::bytea[], :scope::text[],
    :created_at::bigint[], :idle_expires_at::bigint[], :expires_at::bigint[],
    :revoked_at::bigint[], :revoked_why::text[], :last_from::bytea[], :opened_from::bytea[],
    :audience::text[])

-- name: grants
-- Those of a batch of grants that exist.
select {g.Grant}
from unnest(:key_id::text[], :grant_id::bytea[]) as asked (key_id, grant_id)
join grants g on g.key_id = asked.key_id and g.grant_id = asked.grant_id

-- name: take_grants
-- Those of a batch of grants that exist and that nobody has locked. They stay locked until the end of the transaction.
select {g.Grant}
from unnest(:key_id::text[], :grant_id::bytea[]) as asked (key_id, grant_id)
join grants g on g.key_id = asked.key_id and g.grant_id = asked.grant_id
for no key update of g skip locked

-- name: find_unnamed_grant
-- One grant by its id alone, if that does not tell its key. The second condition is that of the index.
select {Grant}
from grants where grant_id = ? and encode(substr(grant_id, 7, 3), 'escape') <> substr(key_id, 1, 3)

-- name: rotate_grants
-- Rotate a batch of grants, except those that were rotated or revoked meanwhile.
update grants g set generation = r.generation, superseded = r.superseded, idle_expires_at = r.idle_expires_at,
    last_from = r.last_from
from unnest(:key_id::text[], :grant_id::bytea[], :decided_on::bigint[], :generation::bigint[], :superseded::bytea[],
    :idle_expires_at::bigint[], :last_from::bytea[])
    as r (key_id, grant_id, decided_on, generation, superseded, idle_expires_at, last_from)
where g.key_id = r.key_id and g.grant_id = r.grant_id and g.generation = r.decided_on and g.revoked_at is null
returning g.key_id, g.grant_id

-- name: revoke_grants
-- Revoke grants. Nothing changes for those that are revoked already.
update grants g set revoked_at = r.revoked_at, revoked_why = r.revoked_why
from unnest(:key_id::text[], :grant_id::bytea[], :revoked_at::bigint[], :revoked_why::text[])
    as r (key_id, grant_id, revoked_at, revoked_why)
where g.key_id = r.key_id and g.grant_id = r.grant_id and g.revoked_at is null
returning g.key_id, g.grant_id

-- name: delete_grants
-- Close or prune those of a batch of grants that nobody has locked.
with free as materialized (
    select g.key_id, g.grant_id
    from unnest(:key_id::text[], :grant_id::bytea[]) as gone (key_id, grant_id)
    join grants g on g.key_id = gone.key_id and g.grant_id = gone.grant_id
    for update of g skip locked)
delete from grants g using free where g.key_id = free.key_id and g.grant_id = free.grant_id

-- name: keep_uses
-- Note when keys were last used, each unless a later use is known.
insert into key_uses (key_id, kind, at, address)
select * from unnest(:key_id::text[], :kind::text[], :at::bigint[], :address::bytea[])
on conflict (key_id, kind) do update set at = excluded.at, address = excluded.address where excluded.at >= key_uses.at

-- name: keys_of_ids
-- Those of many API keys that exist.
select {k.ApiKeyRow}
from unnest(:key_id::text[]) as asked (key_id) join api_keys k on k.key_id = asked.key_id

-- name: secrets_of_keys
-- The secrets of many API keys, oldest first.
select s.key_id, {s.KeySecret}
from unnest(:key_id::text[]) as asked (key_id) join key_secrets s on s.key_id = asked.key_id
order by s.key_id, s.n

-- name: uses_of_keys
-- When many API keys were last used.
select {u.KeyUse}
from unnest(:key_id::text[]) as asked (key_id) join key_uses u on u.key_id = asked.key_id

-- name: keys_of_digests
-- Whose many secrets are.
select s.digest, s.key_id
from unnest(:digest::bytea[]) as asked (digest) join key_secrets s on s.digest = asked.digest

-- name: keys_of_external_ids
-- Whose many of the provider's ids are.
select k.external_id, k.key_id
from unnest(:external_id::text[]) as asked (external_id) join api_keys k on k.external_id = asked.external_id

-- name: hold_control
-- Lock out other administrators until the end of the transaction.
select 1 from control for update

-- name: control
-- What a process polls: the version of the keys, the newest revocation, and the newest line of the audit trail.
select {Control} from control

-- name: time
-- The database's clock, in epoch milliseconds.
select floor(extract(epoch from clock_timestamp()) * 1000)::bigint

-- name: numbered_since
-- When the numbering of revocations began without a break.
select numbered_since from control

-- name: begin_numbering
-- Note when the numbering of revocations began, if that is not noted yet.
update control set numbered_since = ? where numbered_since = 0

-- name: add_revocations
-- Add entries to the revocation list. Nobody sees their numbers before all lower ones.
with numbered as (update control set last_revocation = last_revocation + :count returning last_revocation)
insert into revocations (n, kind, value, until, issued_before)
select last_revocation + entry.position - :count, entry.kind, entry.value, entry.until, entry.issued_before
from numbered, unnest(:kind::text[], :value::text[], :until::bigint[], :issued_before::bigint[]) with ordinality
    as entry (kind, value, until, issued_before, position)
returning n

-- name: add_audit
-- Append lines to the audit trail. Nobody sees their numbers before all lower ones.
with numbered as (update control set last_audit = last_audit + :count returning last_audit)
insert into audit (n, {AuditRow})
select last_audit + line.position - :count, {line.AuditRow}
from numbered, unnest(:at::bigint[], :event::text[], :actor::text[], :address::text[], :request_id::text[],
    :key_id::text[], :grant_id::text[], :detail::text[]) with ordinality as line ({AuditRow}, position)

-- name: newest_audit
-- The newest lines of the audit trail before a number that are wanted. An empty text is not a condition. In a line from
-- an older program, the detail has the actor.
select {AuditRecord} from audit
where (? = '' or starts_with(coalesce(actor, detail::json ->> 'actor'), ?))
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_key
-- The same for the lines about one key, and of an event in two spellings if one is wanted.
select {AuditRecord} from audit
where key_id = ? and (? = '' or event in (?, ?)) and (? = '' or starts_with(coalesce(actor, detail::json ->> 'actor'), ?))
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_grant
-- The same for the lines about one grant, and of a key and an event if they are wanted.
select {AuditRecord} from audit
where grant_id = ? and (? = '' or key_id = ?) and (? = '' or event in (?, ?)) and (? = '' or starts_with(coalesce(actor, detail::json ->> 'actor'), ?))
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_event
-- The same for the lines that tell of one event, in one spelling. Compared as a pair, so that no plan can read lines of
-- other events: one that is rare or unknown would be looked for in the whole trail.
select {AuditRecord} from audit
where (event, n) < (:event, :before) and (event, n) > (:event, :above)
    and (:actor = '' or starts_with(coalesce(actor, detail::json ->> 'actor'), :actor)) and at >= :since and at < :until
order by event desc, n desc limit :limit

-- name: audit_floor_of_event
-- The number of the line that tells of one event, in one spelling, so many lines before a number, above another one.
select n from audit where (event, n) < (:event, :before) and (event, n) > (:event, :above)
order by event desc, n desc limit 1 offset :distance

-- name: count_audit
-- How many lines from a number on tell of an event, in one spelling, since an instant.
select count(*) from audit where (event, n) >= (:event, :begin) and event <= :event and at >= :since

-- name: audit_keys
-- The API keys of these lines.
select distinct key_id from audit where (event, n) >= (:event, :begin) and event <= :event and at >= :since

-- name: stats_since
-- What happened on all nodes from a minute on, in steps of so many minutes. Added up as floating-point numbers, which is
-- exact here and takes half of the time.
select minute / ? * ?,
    cast(sum(exchanges::float8) as bigint),
    cast(sum(refreshes::float8) as bigint),
    cast(sum(retries::float8) as bigint),
    cast(sum(replays::float8) as bigint),
    cast(sum(refusals::float8) as bigint),
    cast(sum(raw_accepted::float8) as bigint),
    cast(sum(raw_refused::float8) as bigint),
    cast(sum(bearer_accepted::float8) as bigint),
    cast(sum(verify_refused::float8) as bigint),
    cast(sum(unavailable::float8) as bigint),
    cast(sum(failures::float8) as bigint)
from stats where minute >= ? group by 1 order by 1

-- name: audit_lines
-- The rows of the audit trail from a number on, with all the columns that the table has: the chain covers each of them.
select to_jsonb(a) - 'mac', mac from audit a where n >= ? order by n limit ?

-- name: set_audit_macs
-- Chain a batch of rows.
update audit a set mac = r.mac, chained_at = :at from unnest(:n::bigint[], :mac::bytea[]) as r (n, mac) where a.n = r.n

-- name: older_programs
-- How many connections there are of programs that are older than one. Those of before had no number.
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and (application_name = 'hourpass'
    or (application_name ~ '^hourpass/[0-9][0-9][0-9][0-9]$' and application_name collate "C" < ?))

-- name: take_lease
-- Take or renew a lease that nobody else holds at this moment.
insert into leases (name, holder, until) values (?, ?, ?)
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where leases.holder = excluded.holder or leases.until <= ?

-- name: numbers
-- The counters of this database.
select {Numbers} from control

-- name: go_on_from
-- Set the counters to those of another database.
update control set ({Numbers}) = ({?Numbers})

-- name: take_memory
-- Let a search remember the ids of very many keys, until the end of the transaction. Else it looks through all of them for
-- each key.
set local work_mem = '64MB'

-- name: take_time
-- Let a statement on a whole table take the time that it needs, until the end of the transaction.
set local statement_timeout = 0
