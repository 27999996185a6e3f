"""API keys in a database: the questions about them, and how a key is a row."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from hourpass.core.admin_access import scope_of_admin
from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.attention import EXPIRES_SOON, KeyNumbers, RawNumbers
from hourpass.core.key_expiry import KeyExpiry
from hourpass.core.key_filter import KeyFilter
from hourpass.core.policy import DAY
from hourpass.server.store.connection import Row
from hourpass.server.store.control import ControlStore
from hourpass.server.store.tables import API_KEYS, KEY_SECRETS, Table, TableStore

RECORD = tuple(field for field in ApiKey._fields if field != "secrets")
"""The columns of a key's record. Beside them a row has `digest`, that of its newest secret."""

EDITABLE = tuple(field for field in RECORD if field not in {"key_id", "created_at", "revoked_at", "revoked_why"})
"""What may change of a record while the key has not ended."""

TEXTS_TOGETHER = 10_000
"""Keys whose texts are read at once, if the database cannot tell what is in them."""

_encode = msgspec.json.Encoder().encode


class KeyStore(ControlStore, TableStore):
    """What is asked about API keys."""

    def add_key(self, key: ApiKey) -> None:
        """Store a new API key."""
        self.add_keys([key])

    def add_keys(self, keys: Sequence[ApiKey]) -> None:
        """Store new API keys."""
        if keys:
            self.add_rows(API_KEYS, [table_row(API_KEYS, key) for key in keys])
            secrets = [(secret.digest, key.key_id, *secret[1:]) for key in keys for secret in key.secrets]
            self.add_rows(KEY_SECRETS, secrets)
            self._run("bump_control")

    def key(self, key_id: str) -> ApiKey | None:
        """One API key."""
        rows = self._rows("key", key_id)
        if not rows:
            return None
        return read_key(rows[0], [KeySecret._make(row) for row in self._rows("key_secrets", key_id)])

    @abstractmethod
    def keys_of_ids(self, key_ids: Sequence[str]) -> dict[str, ApiKey]:
        """The API keys that exist among these, by their ids."""

    def keys_page(self, after: str, limit: int) -> list[ApiKey]:
        """API keys in the order of their ids."""
        rows = self._rows("keys_page", after, limit)
        secrets: dict[str, list[KeySecret]] = {row[0]: [] for row in rows}
        for key_id, *secret in self._rows("key_secrets_page", rows[0][0], rows[-1][0]) if rows else ():
            # One that came between the two statements belongs to the next page, or to nobody yet.
            secrets.setdefault(key_id, []).append(KeySecret._make(secret))
        return [read_key(row, secrets[row[0]]) for row in rows]

    def find_keys(self, wanted: KeyFilter, now: int, after: str, limit: int) -> list[str]:
        """The ids after one, in order, of the keys that the filter may take. It takes none of the others.

        If they are fewer than `limit`, they are the last ones. The caller asks the filter about each.
        """
        search, together = {**key_search(wanted), "now": now}, limit
        folded = "" if wanted.text is None else wanted.text.casefold()
        found: list[str] = []
        while True:
            rows = self._rows_named("find_keys", {**search, "after": after, "limit": together})
            # Here and not by the caller, who reads a whole key for each id.
            found += [_id_in(texts) for (texts,) in rows if folded in texts.casefold()]
            if len(rows) < together or len(found) >= limit:
                return found[:limit]
            after, together = _id_in(rows[-1][0]), TEXTS_TOGETHER

    def key_numbers(self, now: int) -> KeyNumbers:
        """How many keys are in each state. It reads all of them."""
        row = self._rows_named("key_numbers", {"now": now, "soon": now + EXPIRES_SOON})[0]
        every, disabled, expired, revoked, *others = row
        return KeyNumbers(every - disabled - expired - revoked, disabled, expired, revoked, *others)

    def raw_numbers(self, now: int) -> RawNumbers:
        """How many keys were sent themselves lately."""
        return RawNumbers._make(self._rows_named("raw_numbers", {"day": now - DAY, "week": now - 7 * DAY})[0])

    @abstractmethod
    def keys_of_external_ids(self, external_ids: Sequence[str]) -> dict[str, str]:
        """Of many ids of the provider's, the ids of the keys that have them."""

    def update_key(self, key: ApiKey) -> bool:
        """Change everything that may change of a record: not its id, its secrets or its end.

        False if it is revoked or does not exist.
        """
        return self._change_keys("update_key", *editable_row(key), key.key_id)

    def update_keys(self, keys: Sequence[ApiKey]) -> None:
        """The same for many keys. What is revoked or does not exist is passed over."""
        if keys:
            self._run_many("update_key", [(*editable_row(key), key.key_id) for key in keys])
            self._run("bump_control")

    def revoke_key(self, key_id: str, at: int, why: str = "revoked") -> bool:
        """Revoke an API key. False if it was revoked already or does not exist."""
        return self._change_keys("revoke_key", at, why, key_id)

    def told_expiries(self, days: int) -> KeyExpiry | None:
        """Up to which key's end the notices of so many days are in the audit trail, None if none was ever due."""
        rows = self._rows("told_expiries", days)
        return KeyExpiry._make(rows[0]) if rows else None

    def note_told_expiries(self, days: int, until: KeyExpiry) -> None:
        """Note that the notices of so many days are in the audit trail up to this one."""
        self._run("note_told_expiries", days, *until)

    def expiring_keys(self, after: KeyExpiry, until: int, limit: int) -> list[tuple[KeyExpiry, str]]:
        """The keys that end after one and not after an instant, with their names, in order. None that is revoked."""
        rows = self._rows("expiring_keys", *after, until, limit)
        return [(KeyExpiry(expires_at, key_id), name) for expires_at, key_id, name in rows]


def table_row(table: Table, key: ApiKey) -> Row:
    """An API key as the columns of its table."""
    record = _record(key) | {"digest": key.secrets[-1].digest}
    return tuple(record[name] for name in table.columns)


def editable_row(key: ApiKey) -> list[Any]:
    """What may change of an API key, as its columns."""
    record = _record(key)
    return [record[name] for name in EDITABLE]


def read_key(row: Row, secrets: Sequence[KeySecret]) -> ApiKey:
    """An API key from its columns, the digest last, and its secrets.

    A program that knows only one secret for each key stores it only as the record's digest.
    """
    record: dict[str, Any] = dict(zip(RECORD, row, strict=False))
    record["allowed_ips"] = tuple(record["allowed_ips"].split())
    record["more_audiences"] = tuple(record["more_audiences"].split())
    for name in ("claims", "tags"):
        record[name] = tuple(msgspec.json.decode(record[name]).items()) if record[name] else ()
    record["self_rotation"] = bool(record["self_rotation"])
    known = tuple(secrets) or (KeySecret(row[-1], 0, record["created_at"]),)
    key = ApiKey(**record, secrets=known)
    # Its scope was written when it was made. A role may mean more or less by now.
    return key if key.admin is None else key._replace(scope=scope_of_admin(key))


def key_search(wanted: KeyFilter) -> dict[str, Any]:
    """The parameters by which a search for keys is narrowed. Of several tags two are enough for that."""
    record: dict[str, Any] = wanted._asdict()
    tags = [_pattern(_encode({name: text}).decode()[1:-1]) for name, text in record.pop("tags")]
    record["tag"], record["other_tag"] = (*tags, None, None)[:2]
    record["next_secret_waits"] = int(wanted.next_secret_waits) or None
    record["text"] = None if wanted.text is None else _pattern(wanted.text.casefold())
    return record


def _record(key: ApiKey) -> dict[str, Any]:
    return key._asdict() | {
        "allowed_ips": " ".join(key.allowed_ips),
        "more_audiences": " ".join(key.more_audiences),
        "claims": _encode(dict(key.claims)).decode() if key.claims else "",
        "tags": _encode(dict(key.tags)).decode() if key.tags else "",
        "self_rotation": int(key.self_rotation),
    }


def _id_in(texts: str) -> str:
    return texts.partition(" ")[0]


def _pattern(text: str) -> str:
    """What `like … escape '!'` finds a text by."""
    return "%" + "".join("!" + letter if letter in "!%_" else letter for letter in text) + "%"
