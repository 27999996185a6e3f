"""Turns values into rows and rows into values. A table's columns have the names and the order of its value's fields.

The SQL takes its columns from here. If you insert a field in the middle, every statement gets it in the same place.
"""

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from hourpass.core.admin_access import scope_of_admin
from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.audit import Actor, Event
from hourpass.core.audit_chain import Ends
from hourpass.core.event_names import event_name, name_now
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.key_filter import KeyFilter
from hourpass.core.revocation import Revocation
from hourpass.core.sign_in import OneTimeLink, SignIn
from hourpass.core.signing_key import SigningKey
from hourpass.core.stats import Stats
from hourpass.core.webhook import Seed, Webhook
from hourpass.server.store import (
    AuditRecord,
    Control,
    IdempotentCall,
    KeyUse,
    Measured,
    Moved,
    Numbers,
    Row,
    SlowHash,
    StoredSecret,
    WebhookDelivery,
)
from hourpass.server.store.tables import Table


class AuditRow(NamedTuple):
    """A line of the audit trail before it has its number. `at` is epoch milliseconds, `detail` is JSON."""

    at: int
    event: str
    actor: str
    address: str | None
    request_id: str | None
    key_id: str | None
    grant_id: str | None
    detail: str


RECORD = tuple(field for field in ApiKey._fields if field != "secrets")
"""The columns of a key's record. Beside them a row has `digest`, that of its newest secret."""

EDITABLE = tuple(field for field in RECORD if field not in {"key_id", "created_at", "revoked_at", "revoked_why"})
"""What may change of a record while the key has not ended."""

COLUMNS = {
    each.__name__: each._fields
    for each in (
        AuditRecord,
        AuditRow,
        Control,
        WebhookDelivery,
        Ends,
        Grant,
        GrantAge,
        GrantRef,
        IdempotentCall,
        KeySecret,
        KeyUse,
        Measured,
        Moved,
        Numbers,
        OneTimeLink,
        Revocation,
        SignIn,
        SigningKey,
        SlowHash,
        Stats,
        StoredSecret,
        Webhook,
    )
} | {"ApiKeyRow": (*RECORD, "digest"), "EditableKey": EDITABLE}
"""The columns that the named SQL writes as the name of a type, such as `{Grant}`."""

EDITABLE_OF_WEBHOOK = tuple(
    Webhook._fields.index(name)
    for name in ("url", "events", "description", "seeds", "failing_since", "disabled_at", "disabled_why")
)
"""What may change of a webhook, in the order of the statement that changes it."""

_SUPERSEDED = Grant._fields.index("superseded")
_DETAIL = AuditRecord._fields.index("detail")

_ADDRESSES = ("address", "retried_from")
"""What programs of before named the address of an event's caller."""

_EVENTS, _SEEDS = Webhook._fields.index("events"), Webhook._fields.index("seeds")

_encode = msgspec.json.Encoder().encode


@cache
def _instants(count: int) -> struct.Struct:
    return struct.Struct(f">{count}q")


def pack(instants: Sequence[int]) -> bytes:
    """Instants (epoch milliseconds) as 8 bytes each."""
    return _instants(len(instants)).pack(*instants) if instants else b""


def grant_row(grant: Grant) -> list[Any]:
    """A grant as its columns."""
    row: list[Any] = list(grant)
    row[_SUPERSEDED] = pack(grant.superseded)
    return row


def read_grant(row: Row) -> Grant:
    """A grant from its columns."""
    values = list(row)
    superseded = values[_SUPERSEDED]
    values[_SUPERSEDED] = _instants(len(superseded) // 8).unpack(superseded) if superseded else ()
    return Grant._make(values)


def _record(key: ApiKey) -> dict[str, Any]:
    return key._asdict() | {
        "allowed_ips": " ".join(key.allowed_ips),
        "more_audiences": " ".join(key.more_audiences),
        "claims": _encode(dict(key.claims)).decode() if key.claims else "",
        "tags": _encode(dict(key.tags)).decode() if key.tags else "",
        "self_rotation": int(key.self_rotation),
    }


def key_row(key: ApiKey) -> list[Any]:
    """An API key as its columns, the digest last."""
    record = _record(key)
    return [*(record[name] for name in RECORD), key.secrets[-1].digest]


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


def _pattern(text: str) -> str:
    """What `like … escape '!'` finds a text by."""
    return "%" + "".join("!" + letter if letter in "!%_" else letter for letter in text) + "%"


def audit_row(at: int, event: Event) -> AuditRow:
    """A line of the audit trail as its columns."""
    detail = event._asdict()
    actor: Actor = detail.pop("actor")
    key_id, grant_id = detail.pop("key_id", None), detail.pop("grant_id", None)
    return AuditRow(at, event_name(event), *actor, key_id, grant_id, _encode(detail).decode())


def read_audit(row: Row) -> AuditRecord:
    """A line of the audit trail from its columns. In a line of a program of before, its detail says who did it."""
    record = AuditRecord._make(row)
    record = record._replace(event=name_now(record.event))
    detail = msgspec.json.decode(row[_DETAIL])
    if record.actor is not None:
        return record._replace(detail=detail)
    actor, addresses = detail.pop("actor", None), [detail.pop(name, None) for name in _ADDRESSES]
    return record._replace(actor=actor, address=next(filter(None, addresses), None), detail=detail)


def webhook_row(webhook: Webhook) -> list[Any]:
    """A webhook as its columns."""
    seeds = " ".join(
        each.seed.hex() if each.until is None else f"{each.seed.hex()}@{each.until}" for each in webhook.seeds
    )
    return list(webhook._replace(events=" ".join(webhook.events), seeds=seeds))  # type: ignore[arg-type]


def read_webhook(row: Row) -> Webhook:
    """A webhook from its columns."""
    webhook = Webhook._make(row)
    return webhook._replace(
        events=tuple(row[_EVENTS].split()), seeds=tuple(_read_seed(each) for each in row[_SEEDS].split())
    )


def _read_seed(text: str) -> Seed:
    seed, _, until = text.partition("@")
    return Seed(bytes.fromhex(seed), int(until) if until else None)
