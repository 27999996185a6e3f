"""A call that comes with an Idempotency-Key is carried out once, and its answer is given again for a day.

The call is reserved first, so that the same call on another node is told to wait. Its answer is kept in the transaction
that changes something, so a crash leaves both or neither. Every function works inside a transaction.

No new secret is kept. The random bytes of such a call are derived from the Idempotency-Key, the caller, a secret of the
server and a seed in the row, and a new secret is derived from them again. Of the Idempotency-Key only a digest is kept.
"""

import hmac
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

import msgspec

from hourpass.admin.operations import Operation
from hourpass.core.errors import AnswerGone, CallUnderWay, KeyReused
from hourpass.core.policy import DAY, SECOND
from hourpass.server.admin.context import Context
from hourpass.server.admin.secrets_again import MADE_AGAIN, SECRET_MEMBERS
from hourpass.server.keys.sealed import IDEMPOTENCY, lasting_secret
from hourpass.server.store import Store
from hourpass.server.store.idempotent_calls import IdempotentCall
from hourpass.server.transport.request import Reply

KEPT = DAY
"""Milliseconds for which an answer is kept."""

RESERVED = 30 * SECOND
"""Milliseconds after which a call without an answer was interrupted. No call runs for so long."""

SEED_BYTES = 16


class KeyedCall(NamedTuple):
    """A call to carry out once. `tell` renders an answer, or an error. The repr shows nothing of it."""

    key: str
    operation: Operation[Any, Any]
    asked: Any
    tell: Callable[[Any], Reply]

    def __repr__(self) -> str:
        """Without the key and what was asked."""
        return f"KeyedCall({self.operation.name!r})"


class Reserved(NamedTuple):
    """A call that this process carries out. `own` is the server's secret. The repr shows nothing of it."""

    call: KeyedCall
    row: IdempotentCall
    caller: bytes
    own: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Reserved({self.call!r})"

    def random(self) -> Callable[[int], bytes]:
        """The random bytes of the call, from the first one on: the same ones each time."""
        number = count()

        def derived(size: int) -> bytes:
            parts = (b"random", self.row.seed, self.caller, self.call.key.encode(), b"%d" % next(number))
            return _mac(self.own, *parts, size=size)

        return derived


def reserve(ctx: Context, call: KeyedCall) -> Reserved | Reply:
    """Reserve a call, or return its answer again. The caller is authorized already.

    Raises:
        KeyReused: if the key came with another call. CallUnderWay: if the call still runs.
        AnswerGone: if the answer held a secret that cannot be derived any more.
        ConfigurationError: if the master key did not seal the server's secret for all this.
    """
    # Never replaced, because what it makes ends in a day.
    own = lasting_secret(ctx.store, ctx.master, IDEMPOTENCY, ctx.now, ctx.random)
    # A key with another role, other confines or a narrower token is another caller: an answer again skips the use case,
    # so it goes only to a caller who could have made the call.
    who = ctx.caller
    caller = msgspec.json.encode([who.key_id, sorted(who.scopes), who.subject_prefix, who.max_scope])
    digest = _mac(own, b"call", caller, call.key.encode())
    asked = msgspec.json.encode(call.asked, order="deterministic")
    fingerprint = _mac(own, b"asked", call.operation.name.encode(), asked)
    found = ctx.store.idempotent_call(digest)
    if found is None or found.until <= ctx.now:
        row = IdempotentCall(digest, fingerprint, ctx.random(SEED_BYTES), ctx.now + RESERVED)
        ctx.store.reserve_call(row)
        return Reserved(call, row, caller, own)
    if not hmac.compare_digest(found.fingerprint, fingerprint):
        raise KeyReused("this Idempotency-Key came with another call: a new call needs a new key")
    if found.status is None:
        raise CallUnderWay("the call with this Idempotency-Key still runs")
    return _again(ctx, Reserved(call, found, caller, own))


def keep(store: Store, reserved: Reserved, answer: Any, now: int) -> None:
    """Keep the answer of a call.

    Raises:
        CallUnderWay: if it took so long that another process carries it out by now. Nothing must be changed then.
    """
    reply = reserved.call.tell(answer)
    headers = msgspec.json.encode([[name.decode(), value.decode()] for name, value in reply.headers]).decode()
    row = reserved.row._replace(until=now + KEPT, status=reply.status, headers=headers, body=reply.body)
    for text in filter(None, (getattr(answer, member, None) for member in SECRET_MEMBERS)):
        row = _cut(reserved, row, text)
    if not store.answer_call(row):
        raise CallUnderWay("it took too long, and the same call was made again meanwhile")


def keep_refusal(store: Store, reserved: Reserved, error: Exception, now: int) -> None:
    """Keep a refusal if it is final, and otherwise forget the reservation: the call may be made again.

    A refusal that says when to come back is not final. Nor is one of the caller itself, who may do more later.
    """
    reply = reserved.call.tell(error)
    may_return = any(name == b"retry-after" for name, _ in reply.headers)
    if reply.status >= 500 or reply.status in {401, 403} or may_return:
        store.release_call(reserved.row)
    else:
        keep(store, reserved, error, now)


def _cut(reserved: Reserved, row: IdempotentCall, text: str) -> IdempotentCall:
    """The row without the part of a text that is secret: what comes after its last underscore."""
    body, public = row.body or b"", text[: text.rindex("_") + 1]
    at = body.index(text.encode())
    rest = body[:at] + public.encode() + body[at + len(text) :]
    return row._replace(body=rest, secret_at=at + len(public), secret_digest=_digest(reserved, text))


def _again(ctx: Context, kept: Reserved) -> Reply:
    """The answer as it was. Only the secret is derived again, because the rest is there."""
    row, body = kept.row, kept.row.body or b""
    if row.secret_at is not None:
        before, after = body[: row.secret_at], body[row.secret_at :]
        public = before[before.rindex(b'"') + 1 :].decode()
        derive = MADE_AGAIN[kept.call.operation.name]
        text = derive(ctx._replace(random=kept.random()), kept.call.asked, public)
        if text is None or not hmac.compare_digest(_digest(kept, text), row.secret_digest or b""):
            raise AnswerGone("the call was carried out, and its secret cannot be told again: make another one")
        body = before + text[len(public) :].encode() + after
    headers = [(name.encode(), value.encode()) for name, value in msgspec.json.decode(row.headers or "[]")]
    return Reply(row.status or 0, headers, body)


def _digest(reserved: Reserved, text: str) -> bytes:
    return _mac(reserved.own, b"secret", reserved.row.seed, text.encode())


def _mac(secret: bytes, *parts: bytes, size: int = 32) -> bytes:
    """A MAC over parts, each with its length before it."""
    return blake2b(
        b"".join(len(part).to_bytes(8, "big") + part for part in parts), key=secret, digest_size=size
    ).digest()
