"""Cursors of lists: opaque texts that are good for the list that they came from, and for no other.

A use case works with positions, such as the last id of a page. A caller gets them with a MAC over the list, so a use
case never sees a position that was not its own.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from hourpass.admin.operations import Operation
from hourpass.core.errors import InvalidRequest
from hourpass.server.admin.context import Context

MAC_BYTES = 9


def open_cursor(ctx: Context, operation: Operation[Any, Any], asked: Any) -> Any:
    """What is asked, with the position that its cursor stands for.

    Raises:
        InvalidRequest: naming the cursor, if it is not one of this list with these filters.
    """
    cursor = getattr(asked, "cursor", None)
    if cursor is None:
        return asked
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    mac, position = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not any(hmac.compare_digest(mac, good) for good in _macs(ctx, operation, asked, position)):
        raise InvalidRequest("this is not a cursor of this list, with these filters", name="cursor")
    return msgspec.structs.replace(asked, cursor=position.decode())


def seal_cursor(ctx: Context, operation: Operation[Any, Any], asked: Any, answer: Any) -> None:
    """Turn the position at which the next page begins into a cursor."""
    position = getattr(answer, "next", None)
    if position is not None:
        mac = next(_macs(ctx, operation, asked, position.encode()))
        answer.next = urlsafe_b64encode(mac + position.encode()).decode().rstrip("=")


def _macs(ctx: Context, operation: Operation[Any, Any], asked: Any, position: bytes) -> Iterator[bytes]:
    """The MACs that are good for a position: one for each pepper, because it may be replaced meanwhile."""
    filters = {name: getattr(asked, name) for name in asked.__struct_fields__ if name not in {"cursor", "limit"}}
    covered = msgspec.json.encode([operation.name, filters], order="deterministic") + b"\0" + position
    for pepper in ctx.secrets.peppers:
        yield blake2b(covered, key=pepper.secret, person=b"cursor", digest_size=MAC_BYTES).digest()
