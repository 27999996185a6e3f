"""Importing keys that another system made: rows become keys. Others read the rows from files and requests.

The digest is the identity of a key, so the same rows again change nothing. The rows win for the columns that they have.
An import never changes what became of a key here: its state, its rotation, `raw_until`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, assert_never

from hourpass.core import key_events
from hourpass.core.actor import Actor
from hourpass.core.api_key import ENTROPY_BYTES, ApiKey, KeySecret, new_api_key
from hourpass.core.audit import Event
from hourpass.core.key_hash import PLAIN, KeyHash, KeyHashes, slow_digest
from hourpass.server.keys.editing import change_of
from hourpass.server.keys.import_rows import Hashed, ImportRow, InPlain, RowRefused, SlowlyHashed
from hourpass.server.keys.key_hashes import hashes_in_use, note_hash
from hourpass.server.keys.server_secrets import DigestMatch, DigestMove, Secrets, move_digests
from hourpass.server.store import Store
from hourpass.server.store.key_secrets import SlowHash

TOGETHER = 250
"""Rows in one transaction: some 10 ms, for which a server on the same SQLite file waits."""

LOOKED_AT = 5_000
"""Rows of a dry run in one transaction. It keeps no row, so of those before a row it knows only these."""

KEYS_OF_A_LOOKUP = 4
"""Keys that may have one look-up part: a wrong key that begins so costs a slow hash for each of them."""


def rows_together(*, dry_run: bool) -> int:
    """How many rows a transaction has."""
    return LOOKED_AT if dry_run else TOGETHER


class Imported(NamedTuple):
    """What became of a row. One that failed has a `reason`, and every other one the `key_id` of a key that exists."""

    result: Literal["created", "updated", "unchanged", "failed"]
    key_id: str | None = None
    reason: str | None = None


def import_keys(
    store: Store,
    secrets: Secrets,
    rows: Sequence[ImportRow],
    now: int,
    *,
    random: Callable[[int], bytes],
    actor: Actor,
    dry_run: bool = False,
) -> list[Imported]:
    """Import some rows in one transaction of a store, and return what became of each, in their order.

    With `dry_run` nothing is written.

    Raises:
        ConfigurationError: if the master key is not the one that sealed a provider's secret.
        StorageUnavailable: if nothing was kept.
    """
    batch = _Batch(store, secrets, rows, now, random, actor)
    results = []
    for row in rows:
        try:
            result = batch.take(row)
            results.append(result._replace(key_id=None) if dry_run and batch.is_new(result) else result)
        except RowRefused as refused:
            results.append(Imported("failed", reason=str(refused)))
    if not dry_run:
        batch.keep()
    return results


class _Batch:
    """The rows of one transaction: what the store knows of them, and what will be kept of them."""

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        rows: Sequence[ImportRow],
        now: int,
        random: Callable[[int], bytes],
        actor: Actor,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._master = secrets.master
        hashes = hashes_in_use(store, secrets.master)
        self._hashes = KeyHashes((PLAIN, *(each for each in hashes.fast if each != PLAIN)), hashes.lookups)
        self._now = now
        self._random = random
        self._actor = actor
        self._known = store.keys_of_digests([match.digest for row in rows for match in self._digests(row)])
        self._moves: list[DigestMove] = []
        named = [row.fields["external_id"] for row in rows if row.fields.get("external_id")]
        self._external = store.keys_of_external_ids(named)
        self._keys = store.keys_of_ids(sorted({*self._known.values(), *self._external.values()}))
        self._new: dict[str, ApiKey] = {}
        self._changed: dict[str, ApiKey] = {}
        self._slow: list[SlowHash] = []
        self._restood: list[SlowHash] = []
        self._used: dict[KeyHash, None] = {}
        self._lookups: set[int] = set()
        self._events: list[Event] = []

    def _digests(self, row: ImportRow) -> Iterable[DigestMatch]:
        """What the store may keep of the row's key, the likeliest first. A new key gets the first."""
        match row.secret:
            case InPlain(text):
                return self._secrets.digests(self._hashes, text)
            case Hashed(_, hashed):
                return self._secrets.digests_of([hashed])
            case SlowlyHashed() as slow:
                peppers = self._secrets.peppers
                standing = [slow_digest(pepper.secret, slow.hashed) for pepper in peppers]
                return [DigestMatch(each, standing[0], peppers[0].kid) for each in standing]
            case _:  # pragma: no cover - the type checker proves it unreachable
                assert_never(row.secret)

    def take(self, row: ImportRow) -> Imported:
        """Decide what a row does. Those before it in the batch are known already."""
        matches = list(self._digests(row))
        found = next((match for match in matches if match.digest in self._known), None)
        key_id = None if found is None else self._known[found.digest]
        if key_id is None and isinstance(row.secret, SlowlyHashed):
            key_id = self._once_slow(row.secret, matches)
        self._require_own_external_id(row, key_id)
        if key_id is not None and (known := self._keys.get(key_id)) is not None and known.admin is not None:
            raise RowRefused("an admin key, which an import does not change")
        if key_id is None:
            return self._create(row, matches[0].digest)
        if found is not None and found.digest != found.current:
            # The row has what the key's owner has: no use is needed to move the digest to the pepper in use.
            self._moves.append(DigestMove(key_id, *found))
        return self._update(row, self._new.get(key_id) or self._changed.get(key_id) or self._keys[key_id])

    def is_new(self, result: Imported) -> bool:
        """Whether the key of a result is not kept yet."""
        return result.key_id in self._new

    def _once_slow(self, slow: SlowlyHashed, matches: Sequence[DigestMatch]) -> str | None:
        """The key whose slow hash gave way to a fast digest."""
        standing = {digest.hex(): current.hex() for digest, current, _ in matches}
        for each in self._store.slow_hashes(slow.lookup):
            if each.algorithm == "used" and each.hash in standing:
                if each.hash != standing[each.hash]:
                    self._restood.append(each._replace(hash=standing[each.hash]))
                if each.key_id not in self._keys:
                    self._keys |= self._store.keys_of_ids([each.key_id])
                return each.key_id
        return None

    def _require_own_external_id(self, row: ImportRow, key_id: str | None) -> None:
        external_id = row.fields.get("external_id")
        if external_id is None:
            return
        owner = self._external.get(external_id)
        if owner is not None and owner != key_id:
            if owner in self._new:
                raise RowRefused("external_id is that of another key in these rows")
            advice = "; rotate it" if key_id is None else ""
            raise RowRefused(f"external_id belongs to key {owner}{advice}")
        known = None if key_id is None else self._new.get(key_id) or self._changed.get(key_id) or self._keys[key_id]
        if known is not None and known.external_id not in {None, external_id}:
            same = "another row" if known.key_id in self._new else known.key_id
            raise RowRefused(f"the same key as {same}, which has another external_id")

    def _create(self, row: ImportRow, digest: bytes) -> Imported:
        key_id, _ = new_api_key("production", self._random(ENTROPY_BYTES))
        if isinstance(row.secret, SlowlyHashed):
            self._add_slow(row.secret, key_id)
        # After its first use, a key with a slow hash is found as one in plain.
        self._used[row.secret.by if isinstance(row.secret, Hashed) else PLAIN] = None
        secret = KeySecret(digest, 0, self._now, pepper=self._secrets.pepper.kid)
        plain = ApiKey(key_id, "", key_id, "", "production", None, None, (), self._now, secrets=(secret,))
        key = plain._replace(**_fields(row, key_id))
        self._new[key_id] = key
        self._known[digest] = key_id
        if key.external_id is not None:
            self._external[key.external_id] = key_id
        self._events.append(key_events.KeyImported(key_id, key.name, self._actor))
        return Imported("created", key_id)

    def _add_slow(self, slow: SlowlyHashed, key_id: str) -> None:
        waiting = [each for each in self._store.slow_hashes(slow.lookup) if each.algorithm != "used"]
        waiting += [each for each in self._slow if each.lookup == slow.lookup]
        if len(waiting) >= KEYS_OF_A_LOOKUP:
            raise RowRefused(f"lookup: {KEYS_OF_A_LOOKUP} keys begin like this already; use more of the key")
        self._lookups.add(len(slow.lookup))
        self._slow.append(SlowHash(slow.lookup, key_id, slow.algorithm, slow.hashed, self._now))

    def _update(self, row: ImportRow, key: ApiKey) -> Imported:
        new = key._replace(**_fields(row, key.key_id))
        event = change_of(key, new, self._actor)
        if event is None or key.revoked_at is not None:
            return Imported("unchanged", key.key_id)
        if new.external_id is not None:
            self._external[new.external_id] = key.key_id
        (self._new if key.key_id in self._new else self._changed)[key.key_id] = new
        self._events.append(event)
        return Imported("updated", key.key_id)

    def keep(self) -> None:
        """Write it all."""
        for each in self._used:
            note_hash(self._store, self._master, each, self._now)
        for length in self._lookups:
            self._store.add_key_hash(f"lookup:{length}", self._now)
        self._store.add_keys(list(self._new.values()))
        self._store.add_slow_hashes(self._slow)
        self._store.update_keys(list(self._changed.values()))
        move_digests(self._store, self._moves)
        for slow in self._restood:
            self._store.use_slow_hash(slow)
        self._store.append_audit(self._now, self._events)


def _fields(row: ImportRow, key_id: str) -> dict[str, Any]:
    if "subject" in row.fields and row.fields["subject"] is None:
        return row.fields | {"subject": key_id}
    return row.fields
