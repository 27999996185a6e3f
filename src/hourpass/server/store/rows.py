"""Rows and the values that they are made into. A table's columns are named and ordered as the fields of its value are.

The SQL takes its columns from here, so that a field put in the middle moves in every statement and cannot shift others.
"""

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from hourpass.core.api_key import ApiKey
from hourpass.core.audit import Event, event_name
from hourpass.core.grant import Grant, GrantAge, GrantRef
from hourpass.core.revocation import Revocation
from hourpass.core.signing_key import SigningKey
from hourpass.server.store import AuditRecord, Control, Moved, Numbers, Row


class AuditRow(NamedTuple):
    """A line of the audit trail before it has its number; `detail` is JSON."""

    at: int
    event: str
    key_id: str | None
    grant_id: str | None
    detail: str


COLUMNS = {
    each.__name__: each._fields
    for each in (
        ApiKey,
        AuditRecord,
        AuditRow,
        Control,
        Grant,
        GrantAge,
        GrantRef,
        Moved,
        Numbers,
        Revocation,
        SigningKey,
    )
}
"""What the named SQL calls by the name of a type."""

_SUPERSEDED = Grant._fields.index("superseded")
_ALLOWED_IPS = ApiKey._fields.index("allowed_ips")
_DETAIL = AuditRecord._fields.index("detail")

_encode = msgspec.json.Encoder().encode


@cache
def _instants(count: int) -> struct.Struct:
    return struct.Struct(f">{count}q")


def pack(instants: Sequence[int]) -> bytes:
    """Instants as 8 bytes each."""
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


def key_row(key: ApiKey) -> list[Any]:
    """An API key as its columns."""
    row: list[Any] = list(key)
    row[_ALLOWED_IPS] = " ".join(key.allowed_ips)
    return row


def read_key(row: Row) -> ApiKey:
    """An API key from its columns."""
    values = list(row)
    values[_ALLOWED_IPS] = tuple(values[_ALLOWED_IPS].split())
    return ApiKey._make(values)


def audit_row(at: int, event: Event) -> AuditRow:
    """A line of the audit trail as its columns."""
    detail = event._asdict()
    key_id, grant_id = detail.pop("key_id", None), detail.pop("grant_id", None)
    return AuditRow(at, event_name(event), key_id, grant_id, _encode(detail).decode())


def read_audit(row: Row) -> AuditRecord:
    """A line of the audit trail from its columns."""
    values = list(row)
    values[_DETAIL] = msgspec.json.decode(values[_DETAIL])
    return AuditRecord._make(values)
