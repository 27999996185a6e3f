-- The statements that both databases run. {Grant} stands for the columns of a grant, with the names and the order of that
-- type's fields. {?Grant} stands for as many parameters, {g.Grant} for the columns of a table that is called g.

-- name: add_grant
-- Store a new grant.
insert into grants ({Grant}) values ({?Grant})

-- name: grant
-- One grant.
select {Grant}
from grants where key_id = ? and grant_id = ?

-- name: rotate_grant
-- Rotate a grant, unless it was rotated or revoked meanwhile.
update grants set generation = ?, superseded = ?, idle_expires_at = ?, last_from = ?
where key_id = ? and grant_id = ? and generation = ? and revoked_at is null

-- name: revoke_grant
-- Revoke a grant. If it is revoked already, nothing changes.
update grants set revoked_at = ?, revoked_why = ?
where key_id = ? and grant_id = ? and revoked_at is null

-- name: delete_grant
-- Close or prune a grant.
delete from grants where key_id = ? and grant_id = ?

-- name: count_grants
-- How many grants a key has that are not revoked.
select count(*) from grants where key_id = ? and revoked_at is null

-- name: count_live_grants
-- How many grants of all keys, opened before an instant, can still refresh if their keys are valid.
select count(*) from grants where revoked_at is null and idle_expires_at > ? and expires_at > ? and created_at < ?

-- name: count_grants_in_use
-- How many of the grants behind one, up to another one, can refresh: those that core/grant.py calls live.
select count(*) from grants g join api_keys k on k.key_id = g.key_id
where (g.key_id, g.grant_id) > (?, ?) and (g.key_id, g.grant_id) <= (?, ?)
    and g.revoked_at is null and g.idle_expires_at > ? and g.expires_at > ? and k.revoked_at is null
    and k.disabled_at is null and (k.expires_at is null or k.expires_at > ?)
    and (k.valid_from is null or g.created_at >= k.valid_from)

-- name: grant_ages
-- What decides which grants of a key are closed first.
select {GrantAge} from grants where key_id = ? and revoked_at is null

-- name: grants_page
-- A page of the grants up to the last one of a key, in the order of their keys and ids.
select {Grant}
from grants where (key_id, grant_id) > (?, ?) and key_id <= ? order by key_id, grant_id limit ?

-- name: find_grants
-- Among the next grants after one, those that may be in a state, in the order of their keys and ids. If the state depends
-- on the key as well, the rule in core/grant.py decides.
select {Grant} from (
    select {Grant} from grants
    where (key_id, grant_id) > (:after_key, :after_id) and key_id <= :last_key
    order by key_id, grant_id limit :distance) g
where cast(:state as text) is null
    or (:state in ('live', 'ended', 'disabled') and revoked_why is null and idle_expires_at > :now and expires_at > :now)
    or (:state = 'expired' and revoked_why is null and (idle_expires_at <= :now or expires_at <= :now))
    or revoked_why = :state
order by key_id, grant_id limit :limit

-- name: grant_after
-- Which grant is so many after one, up to those of a key.
select key_id, grant_id from grants where (key_id, grant_id) > (?, ?) and key_id <= ?
order by key_id, grant_id limit 1 offset ?

-- name: count_grants_after
-- How many grants of a key come after one, up to so many.
select count(*) from (
    select 1 from grants where (key_id, grant_id) > (?, ?) and key_id <= ? limit ?) g

-- name: find_grant_between
-- One grant by its id, if it is of a key between two ids.
select {Grant}
from grants where key_id >= ? and key_id <= ? and grant_id = ?

-- name: find_unnamed_grant
-- One grant by its id alone, if that does not tell its key: it was opened by a program of before. The second condition is
-- that of the index.
select {Grant}
from grants where grant_id = ? and substr(grant_id, 7, 3) <> cast(substr(key_id, 1, 3) as blob)

-- name: expiries_page
-- A page of what pruning must know.
select key_id, grant_id, idle_expires_at, expires_at, revoked_at
from grants where (key_id, grant_id) > (?, ?) order by key_id, grant_id limit ?

-- name: key
-- One API key by its id.
select {ApiKeyRow}
from api_keys where key_id = ?

-- name: keys_page
-- A page of API keys in the order of their ids.
select {ApiKeyRow}
from api_keys where key_id > ? order by key_id limit ?

-- name: find_keys
-- Which keys after an id a search may want, in the order of their ids. A condition that is null takes every key. The rule
-- is in core/key_filter.py, and decides about each of these: this only drops what that surely drops. `lower` knows no
-- letters beyond ASCII on one database, and other ones than Python on another, so a text with such letters stays in. It
-- comes along for that, and begins with the id.
select k.key_id || ' ' || k.name || ' ' || k.subject || ' ' || coalesce(k.external_id, '') from api_keys k
where k.key_id > :after
and (cast(:state as text) is null or :state = case
    when k.revoked_at is not null then 'revoked'
    when k.expires_at <= :now then 'expired'
    when k.disabled_at is not null then 'disabled'
    else 'active' end)
and (cast(:subject as text) is null or k.subject = :subject)
and (cast(:subject_prefix as text) is null
    or (k.admin is null and substr(k.subject, 1, length(:subject_prefix)) = :subject_prefix))
and (cast(:external_id as text) is null or k.external_id = :external_id)
and (cast(:admin as text) is null or k.admin = :admin or (:admin = 'any' and k.admin is not null))
and (cast(:tag as text) is null or k.tags like :tag escape '!')
and (cast(:other_tag as text) is null or k.tags like :other_tag escape '!')
and (cast(:expires_before as bigint) is null or (
    k.expires_at < :expires_before and k.expires_at > :now and k.revoked_at is null))
and (cast(:next_secret_waits as bigint) is null or (
    k.revoked_at is null and (k.expires_at is null or k.expires_at > :now)
    and 1 < (select count(*) from key_secrets s where s.key_id = k.key_id and s.ends_at is null)))
and (cast(:raw_since as bigint) is null or k.key_id in (
    select u.key_id from key_uses u where u.kind = 'raw' and u.at >= :raw_since))
and (cast(:unused_since as bigint) is null or (
    k.key_id not in (select u.key_id from key_uses u where u.at >= :unused_since)
    and (k.created_at < :unused_since or exists (select 1 from key_uses u where u.key_id = k.key_id))))
and (cast(:text as text) is null or lower('I') <> 'i'
    or octet_length(k.name) <> length(k.name) or octet_length(k.subject) <> length(k.subject)
    or octet_length(k.external_id) <> length(k.external_id)
    or lower(k.key_id || ' ' || k.name || ' ' || k.subject || ' ' || coalesce(k.external_id, '')) like :text escape '!')
order by k.key_id limit :limit

-- name: key_numbers
-- How many keys there are: all, and of each kind, now and within some time. core/attention.py says what each kind is.
select
    count(*),
    count(case when disabled_at is not null and revoked_at is null and (expires_at is null or expires_at > :now) then 1 end),
    count(case when expires_at <= :now and revoked_at is null then 1 end),
    count(revoked_at),
    count(case when expires_at < :soon and expires_at > :now and revoked_at is null then 1 end),
    count(case when raw_until is not null and revoked_at is null and (expires_at is null or expires_at > :now) then 1 end),
    (select count(distinct l.key_id) from key_leaks l where exists (
        select 1 from key_secrets s join api_keys e on e.key_id = s.key_id
        where s.digest = l.digest and (s.ends_at is null or s.ends_at > :now)
            and e.revoked_at is null and e.disabled_at is null and (e.expires_at is null or e.expires_at > :now)))
from api_keys where key_id > ''

-- name: raw_numbers
-- How many keys were sent themselves in the last day and in the last week, and in that week after their end.
select count(case when u.at >= :day then 1 end), count(*), count(case when u.at >= k.raw_until then 1 end)
from key_uses u join api_keys k on k.key_id = u.key_id
where u.kind = 'raw' and u.at >= :week

-- name: key_of_digest
-- Which key has this secret.
select key_id from key_secrets where digest = ?

-- name: key_of_external_id
-- Which key has the provider's own id.
select external_id, key_id from api_keys where external_id = ?

-- name: update_key
-- Change what may change of a key: everything but its id, when it was made, its secrets and its end.
update api_keys set ({EditableKey}) = ({?EditableKey}) where key_id = ? and revoked_at is null

-- name: revoke_key
-- Revoke an API key. If it is revoked already, nothing changes.
update api_keys set revoked_at = ?, revoked_why = ? where key_id = ? and revoked_at is null

-- name: add_key_secret
-- Give a key a secret.
insert into key_secrets (key_id, {KeySecret}) values (?, {?KeySecret})

-- name: key_secrets
-- The secrets of a key, oldest first.
select {KeySecret} from key_secrets where key_id = ? order by n

-- name: key_secrets_page
-- The secrets of the keys between two ids, both included.
select key_id, {KeySecret} from key_secrets where key_id >= ? and key_id <= ? order by key_id, n

-- name: save_key_secret
-- Note when a secret was first used and when it ends. A program that knows one secret for each key kept none.
insert into key_secrets (key_id, {KeySecret}) values (?, {?KeySecret})
on conflict (digest) do update set first_used_at = excluded.first_used_at, ends_at = excluded.ends_at

-- name: show_digest
-- Let programs that know one secret know this one.
update api_keys set digest = ? where key_id = ?

-- name: move_shown_digest
-- Let programs that know one secret know it by its new digest, if it is the one that they know.
update api_keys set digest = ? where key_id = ? and digest = ?

-- name: move_leak
-- What was reported as leaked is known by its new digest.
update key_leaks set digest = ? where digest = ?

-- name: delete_key_secret
-- Take a secret from its key.
delete from key_secrets where digest = ?

-- name: key_hashes
-- The hashes that the digests of imported keys are made of.
select algorithm from key_hashes order by algorithm

-- name: add_key_hash
-- Note that keys are imported by this hash.
insert into key_hashes (algorithm, created_at) values (?, ?) on conflict (algorithm) do nothing

-- name: keep_use
-- Note when a key was last used, unless a later use is known.
insert into key_uses ({KeyUse}) values ({?KeyUse})
on conflict (key_id, kind) do update set at = excluded.at, address = excluded.address where excluded.at >= key_uses.at

-- name: uses_of_key
-- When a key was last used.
select {KeyUse} from key_uses where key_id = ?

-- name: slow_hashes
-- The slow hashes of the keys that begin like this.
select {SlowHash} from slow_hashes where lookup = ?

-- name: use_slow_hash
-- Forget a slow hash, because its key was used.
update slow_hashes set algorithm = ?, hash = ? where lookup = ? and key_id = ?

-- name: note_leak
-- Note that a secret was reported as leaked, unless that is known.
insert into key_leaks (digest, key_id, at) values (?, ?, ?) on conflict (digest) do nothing

-- name: add_revocation
-- Add an entry to the revocation list.
insert into revocations (kind, value, until, issued_before) values (?, ?, ?, ?) returning n

-- name: revocations_after
-- The entries after a number that can still refuse a token.
select {Revocation} from revocations where n > ? and until > ? order by n

-- name: prune_revocations
-- Delete the entries whose tokens have all expired.
delete from revocations where until <= ?

-- name: add_audit
-- Append to the audit trail.
insert into audit ({AuditRow}) values ({?AuditRow})

-- name: audit_after
-- The audit trail after a number.
select {AuditRecord} from audit where n > ? order by n limit ?

-- name: newest_audit
-- The newest lines of the audit trail before a number that are wanted. An empty text is not a condition. In a line from
-- an older program, the detail has the actor.
select {AuditRecord} from audit
where (? = '' or instr(coalesce(actor, detail ->> 'actor'), ?) = 1)
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_key
-- The same for the lines about one key, and of an event in two spellings if one is wanted.
select {AuditRecord} from audit
where key_id = ? and (? = '' or event in (?, ?)) and (? = '' or instr(coalesce(actor, detail ->> 'actor'), ?) = 1)
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_grant
-- The same for the lines about one grant, and of a key and an event if they are wanted.
select {AuditRecord} from audit
where grant_id = ? and (? = '' or key_id = ?) and (? = '' or event in (?, ?)) and (? = '' or instr(coalesce(actor, detail ->> 'actor'), ?) = 1)
    and at >= ? and at < ? and n < ? and n > ?
order by n desc limit ?

-- name: newest_audit_of_event
-- The same for the lines that tell of one event, in one spelling.
select {AuditRecord} from audit
where event = :event and n < :before and n > :above
    and (:actor = '' or instr(coalesce(actor, detail ->> 'actor'), :actor) = 1) and at >= :since and at < :until
order by n desc limit :limit

-- name: audit_floor_of_key
-- The number of the line about one key that is so many lines before a number, if there are as many above another one.
select n from audit where key_id = ? and n < ? and n > ? order by n desc limit 1 offset ?

-- name: audit_floor_of_event
-- The same for the lines that tell of one event, in one spelling.
select n from audit where event = :event and n < :before and n > :above order by n desc limit 1 offset :distance

-- name: audit_lines
-- The rows of the audit trail from a number on, with all the columns that the table has: the chain covers each of them.
select * from audit where n >= ? order by n limit ?

-- name: audit_columns
-- The columns of the audit trail, in the table's order.
select name from pragma_table_info('audit') order by cid

-- name: set_audit_mac
-- Chain a row.
update audit set mac = ?, chained_at = ? where n = ?

-- name: first_audit
-- The number of the oldest row of the audit trail.
select min(n) from audit

-- name: delete_audit_to
-- Prune the audit trail up to a number.
delete from audit where n <= ?

-- name: audit_ends
-- Where the chain begins and ends.
select {Ends} from audit_chain

-- name: save_audit_ends
-- Note where the chain begins and ends.
insert into audit_chain (the_row, {Ends}) values (1, {?Ends})
on conflict (the_row) do update set ({Ends}) = ({excluded.Ends})

-- name: audit_at
-- The number and the instant of the first line of the audit trail from a number on.
select n, at from audit where n >= ? order by n limit 1

-- name: count_audit
-- How many lines from a number on tell of an event, in one spelling, since an instant.
select count(*) from audit where event = :event and n >= :begin and at >= :since

-- name: audit_keys
-- The API keys of these lines.
select distinct key_id from audit where event = :event and n >= :begin and at >= :since

-- name: control
-- What a process polls: the version of the keys, the newest revocation, and the newest line of the audit trail.
select {Control}
from (select version,
    (select coalesce(max(n), 0) from revocations) as last_revocation,
    (select coalesce(max(n), 0) from audit) as last_audit
    from control)

-- name: prove_writable
-- Write without changing anything.
update control set version = version returning version

-- name: bump_control
-- Tell the other processes that keys changed.
update control set version = version + 1

-- name: take_back_bump_control
-- In the same transaction as bump_control: nobody sees a change, but something is written.
update control set version = version - 1

-- name: add_secret
-- Store a sealed secret.
insert into secrets ({StoredSecret}) values ({?StoredSecret})

-- name: sealed_secrets
-- The sealed secrets of a name, or all, those of a name newest first.
select {StoredSecret} from secrets where cast(:name as text) is null or name = :name order by name, created_at desc, kid

-- name: seal_secret
-- Put another sealing in the place of one, unless somebody else did.
update secrets set sealed = ?, sealed_by = ? where name = ? and kid = ? and sealed = ?

-- name: delete_secret
-- Forget a secret.
delete from secrets where name = ? and kid = ?

-- name: add_signing_key
-- Store a signing key with its sealed private half.
insert into signing_keys ({SigningKey}, sealed, sealed_by) values ({?SigningKey}, ?, ?)

-- name: signing_keys
-- All signing keys with their sealed private halves.
select {SigningKey}, sealed, sealed_by from signing_keys order by signs_from, kid

-- name: seal_signing_key
-- Put another sealing in the place of one, unless somebody else did.
update signing_keys set sealed = ?, sealed_by = ? where kid = ? and sealed = ?

-- name: retire_signing_key
-- Set the instant at which a successor takes over.
update signing_keys set retired_at = ? where kid = ? and retired_at is null

-- name: delete_signing_key
-- Delete a signing key.
delete from signing_keys where kid = ?

-- name: add_webhook
-- Store a new webhook.
insert into webhooks ({Webhook}) values ({?Webhook})

-- name: webhooks
-- All webhooks, oldest first.
select {Webhook} from webhooks order by created_at, webhook_id

-- name: webhook
-- One webhook.
select {Webhook} from webhooks where webhook_id = ?

-- name: update_webhook
-- Change what an operator may change of a webhook. How far it is stays.
update webhooks set url = ?, events = ?, description = ?, seeds = ?, failing_since = ?, disabled_at = ?,
    disabled_why = ?, revision = revision + 1
where webhook_id = ?

-- name: save_progress
-- Note how far a webhook is, unless it was changed meanwhile: then the rest is not about the webhook as it is.
update webhooks set delivered = ?,
    failing_since = case when revision = ? then ? else failing_since end
where webhook_id = ? and delivered <= ?

-- name: delete_webhook
-- Delete a webhook.
delete from webhooks where webhook_id = ?

-- name: add_delivery
-- Note how an attempt went.
insert into webhook_deliveries ({WebhookDelivery}) values ({?WebhookDelivery}) on conflict (webhook_id, at, number) do nothing

-- name: deliveries
-- How the newest attempts went since an instant, newest first.
select {WebhookDelivery} from webhook_deliveries where webhook_id = ? and at >= ? order by at desc, number desc limit ?

-- name: prune_deliveries
-- Forget the attempts before an instant, and all but the newest ones.
delete from webhook_deliveries where webhook_id = ? and (at < ? or at < (
    select coalesce(min(at), 0) from (
        select at from webhook_deliveries where webhook_id = ? order by at desc limit ?) as newest))

-- name: delete_deliveries
-- Forget all attempts of a webhook.
delete from webhook_deliveries where webhook_id = ?

-- name: add_one_time_link
-- Keep a link that signs in to the console.
insert into one_time_links ({OneTimeLink}) values ({?OneTimeLink})

-- name: take_one_time_link
-- Delete a link. Only one of several transactions gets it back.
delete from one_time_links where id_hash = ? returning {OneTimeLink}

-- name: add_sign_in
-- Keep that somebody signed in to the console.
insert into sign_ins ({SignIn}) values ({?SignIn})

-- name: sign_in
-- Who is signed in with this id.
select {SignIn} from sign_ins where id_hash = ?

-- name: sign_ins
-- All sign-ins, newest first.
select {SignIn} from sign_ins order by started_at desc, id_hash

-- name: note_seen
-- Note that a sign-in was used.
update sign_ins set seen_at = ? where id_hash = ?

-- name: end_sign_in
-- Forget a sign-in.
delete from sign_ins where id_hash = ?

-- name: end_sign_ins_of
-- Forget all sign-ins of one person.
delete from sign_ins where who = ?

-- name: prune_sign_ins
-- Forget sign-ins that are over: they started too long ago, or were not used for too long.
delete from sign_ins where started_at <= ? or seen_at <= ?

-- name: prune_one_time_links
-- Forget links that are over.
delete from one_time_links where made_at <= ?

-- name: numbers
-- The counters: the version of the keys, and the last numbers of revocations and audit lines. numbered_since is not kept.
select {Numbers}
from (select version,
    coalesce((select seq from sqlite_sequence where name = 'revocations'), 0) as last_revocation,
    coalesce((select seq from sqlite_sequence where name = 'audit'), 0) as last_audit,
    0 as numbered_since
    from control)

-- name: set_version
-- Set the version of the keys to that of another database.
update control set version = ?

-- name: forget_last_number
-- Delete the last number that a table gave, before another one is set.
delete from sqlite_sequence where name = ?

-- name: set_last_number
-- Set the last number that a table gave to that of another database.
insert into sqlite_sequence (name, seq) values (?, ?)

-- name: moved
-- Where the installation was moved to.
select {Moved} from moved

-- name: mark_moved
-- Note where the installation was moved to. A later move replaces an earlier one.
insert into moved (the_row, {Moved}) values (1, {?Moved})
on conflict (the_row) do update set at = excluded.at, target = excluded.target returning at

-- name: unmark_moved
-- Forget that the installation was moved.
delete from moved returning at

-- name: need_program
-- Note the oldest program that can live with a migration from now on.
update migrations set oldest = ? where name like ?

-- name: note_migration
-- Remember a migration that was applied.
insert into migrations (name, checksum, applied_at, oldest) values (?, ?, ?, ?)

-- name: add_stats
-- Add what happened to the row of a minute and a node.
insert into stats (minute, node, {Stats}) values (?, ?, {?Stats})
on conflict (minute, node) do update set
    exchanges = stats.exchanges + excluded.exchanges,
    refreshes = stats.refreshes + excluded.refreshes,
    retries = stats.retries + excluded.retries,
    replays = stats.replays + excluded.replays,
    refusals = stats.refusals + excluded.refusals,
    raw_accepted = stats.raw_accepted + excluded.raw_accepted,
    raw_refused = stats.raw_refused + excluded.raw_refused,
    bearer_accepted = stats.bearer_accepted + excluded.bearer_accepted,
    verify_refused = stats.verify_refused + excluded.verify_refused,
    unavailable = stats.unavailable + excluded.unavailable,
    failures = stats.failures + excluded.failures

-- name: stats_since
-- What happened on all nodes from a minute on, in steps of so many minutes.
select minute / ? * ?,
    cast(sum(exchanges) as bigint),
    cast(sum(refreshes) as bigint),
    cast(sum(retries) as bigint),
    cast(sum(replays) as bigint),
    cast(sum(refusals) as bigint),
    cast(sum(raw_accepted) as bigint),
    cast(sum(raw_refused) as bigint),
    cast(sum(bearer_accepted) as bigint),
    cast(sum(verify_refused) as bigint),
    cast(sum(unavailable) as bigint),
    cast(sum(failures) as bigint)
from stats where minute >= ? group by 1 order by 1

-- name: prune_stats
-- Delete what is older than a minute.
delete from stats where minute < ?

-- name: told_expiries
-- Up to which key's end the notices of so many days are in the audit trail.
select expires_at, key_id from expiry_notices where days = ?

-- name: note_told_expiries
-- Note up to which key's end they are.
insert into expiry_notices (days, expires_at, key_id) values (?, ?, ?)
on conflict (days) do update set expires_at = excluded.expires_at, key_id = excluded.key_id

-- name: expiring_keys
-- The keys that end after one and not after an instant, in order. None that is revoked.
select expires_at, key_id, name from api_keys
where revoked_at is null and expires_at is not null and (expires_at, key_id) > (?, ?) and expires_at <= ?
order by expires_at, key_id limit ?

-- name: note_measured
-- Keep what was counted.
insert into measured (name, value, at) values (?, ?, ?)
on conflict (name) do update set value = excluded.value, at = excluded.at

-- name: measured
-- What was counted last.
select {Measured} from measured where name = ?

-- name: idempotent_call
-- A call that came with an Idempotency-Key.
select {IdempotentCall} from idempotent_calls where digest = ?

-- name: reserve_call
-- Reserve a call.
insert into idempotent_calls ({IdempotentCall}) values ({?IdempotentCall})
on conflict (digest) do update set fingerprint = excluded.fingerprint, seed = excluded.seed, until = excluded.until,
    status = excluded.status, headers = excluded.headers, body = excluded.body, secret_at = excluded.secret_at,
    secret_digest = excluded.secret_digest

-- name: answer_call
-- Keep the answer of a call, if its reservation is still there.
update idempotent_calls set until = ?, status = ?, headers = ?, body = ?, secret_at = ?, secret_digest = ?
where digest = ? and seed = ? and status is null

-- name: release_call
-- Forget a reservation.
delete from idempotent_calls where digest = ? and seed = ? and status is null

-- name: prune_calls
-- Forget some calls that are over.
delete from idempotent_calls where digest in (select digest from idempotent_calls where until <= ? limit ?)
