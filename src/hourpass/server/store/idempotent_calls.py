"""Calls that came with an Idempotency-Key, in a database."""

from typing import NamedTuple

from hourpass.server.store.connection import DatabaseConnection


class IdempotentCall(NamedTuple):
    """A call that came with an Idempotency-Key, and its answer once there is one. The repr does not show the answer.

    `digest` names the caller and the key. `fingerprint` is that of what was asked. `seed` is what the call's random
    bytes are derived from. After `until` (epoch milliseconds) it is forgotten. `headers` is JSON. The new secret that
    the body had at `secret_at` is cut out of it, and `secret_digest` tells whether it was derived again rightly.
    """

    digest: bytes
    fingerprint: bytes
    seed: bytes
    until: int
    status: int | None = None
    headers: str | None = None
    body: bytes | None = None
    secret_at: int | None = None
    secret_digest: bytes | None = None

    def __repr__(self) -> str:
        """Without what was asked and answered."""
        return f"IdempotentCall(status={self.status})"


class IdempotentCallStore(DatabaseConnection):
    """What is asked about calls that came with an Idempotency-Key."""

    def idempotent_call(self, digest: bytes) -> IdempotentCall | None:
        """A call that was reserved or answered, also after its end."""
        rows = self._rows("idempotent_call", digest)
        return IdempotentCall._make(rows[0]) if rows else None

    def reserve_call(self, call: IdempotentCall) -> None:
        """Reserve a call, in the place of one with the same digest."""
        self._run("reserve_call", *call)

    def answer_call(self, call: IdempotentCall) -> bool:
        """Keep the answer of a reserved call. False if the reservation of this seed is not there any more."""
        digest, _, seed, *answer = call
        return self._run("answer_call", *answer, digest, seed) > 0

    def release_call(self, call: IdempotentCall) -> None:
        """Forget a reservation. One that was answered, or taken over by another seed, stays."""
        self._run("release_call", call.digest, call.seed)

    def prune_calls(self, now: int, limit: int) -> int:
        """Forget at most so many calls that are over. Returns how many."""
        return self._run("prune_calls", now, limit)
