"""The heart of hourpass: how a refresh token rotates, retries and dies.

A grant is what one exchange opened. It has one row, updated in place, and at most one generation that can still
rotate. `judge` says what a refresh token is worth, by `decide_refresh`, which is the whole rule of rotation; stores,
HTTP and clients only carry their answers out.
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

from hourpass.core.absence import counted_from
from hourpass.core.address import pack_address, unpack_address
from hourpass.core.api_key import ApiKey, allows_ip, is_usable
from hourpass.core.caller import bucket
from hourpass.core.errors import RefusalReason
from hourpass.core.policy import DAY, MAX_RETRY_WINDOW, RING_SIZE, Policy

GRANT_ID_ENTROPY = 10
"""Random bytes in a grant's id: 80 bits, for grants that are opened within the same millisecond."""

RevokedWhy = Literal["replayed", "revoked", "token_revoked", "restored"]
"""Why a grant ended by decision: a replay was seen, an operator revoked it, its refresh token was revoked, or the
installation was restored from a backup that had it."""


class GrantRef(NamedTuple):
    """What finds a grant: the API key that opened it, and the grant's own id (16 bytes).

    The key leads, so that a key's grants lie together and a database may be spread out by key.
    """

    key_id: str
    grant_id: bytes


class Grant(NamedTuple):
    """The state of a grant. Instants are epoch milliseconds.

    `superseded[i]` is when generation `generation - 1 - i` was superseded, newest first. Entries older than the longest
    retry window are dropped: such a generation is a replay whether remembered or not. `scope` is None where the
    exchange did not narrow it: the tokens then say all that the key owns. Subject, environment and audience are the
    key's. `last_from` is the packed address of the last rotation.
    """

    grant_id: bytes
    key_id: str
    generation: int
    seed: bytes
    superseded: tuple[int, ...]
    scope: str | None
    created_at: int
    idle_expires_at: int
    expires_at: int
    revoked_at: int | None = None
    revoked_why: str | None = None
    last_from: bytes | None = None

    @property
    def ref(self) -> GrantRef:
        """What finds it."""
        return GrantRef(self.key_id, self.grant_id)

    @property
    def generation_at(self) -> int:
        """When its current generation began: at the last rotation, or the exchange."""
        return self.superseded[0] if self.superseded else self.created_at

    def owned_scope(self, scope_of_key: str) -> str:
        """The scope that its tokens may say."""
        return scope_of_key if self.scope is None else self.scope

    def __repr__(self) -> str:
        """Without the seed: it is half of what a refresh token is made of."""
        return f"Grant({self.grant_id.hex()}, key_id={self.key_id!r}, generation={self.generation})"


class Rotate(NamedTuple):
    """The current generation was presented: the grant moves on by one."""

    grant: Grant


class Burst(NamedTuple):
    """The current generation was presented, but K rotations lie within the window: it stays the current one.

    One rotation more would push a generation out of the ring while its holder may still retry.
    """

    grant: Grant


class Retry(NamedTuple):
    """A generation superseded within the window was presented: the current generation is the answer again.

    `elsewhere` if it came from another address than the rotation did: a client that moved, or a thief who refreshes
    right after the owner, and who would otherwise never show.
    """

    grant: Grant
    elsewhere: bool = False


class Replay(NamedTuple):
    """A generation superseded earlier was presented: a thief or a victim. The grant is revoked (RFC 9700 §4.14.2)."""

    grant: Grant


class Ahead(NamedTuple):
    """A generation not reached yet was presented: a restored backup or a lossy failover. Refused, not revoked."""

    grant: Grant


class Dead(NamedTuple):
    """There is nothing to refresh."""

    reason: RefusalReason


Decision = Rotate | Burst | Retry | Replay | Ahead | Dead


def judge(
    grant: Grant | None,
    key: ApiKey | None,
    generation: int,
    tag: bytes,
    now: int,
    policy: Policy,
    address: str | None,
) -> Decision:
    """What a refresh token is worth, whose signature is proven: its tag, its key, the caller's address, its generation.

    `grant` and `key` are what the database has of them. A refusal for the address comes before anything that would
    change the grant: from a foreign address nothing is rotated, burnt or revoked.
    """
    if grant is None or not is_genuine(grant, generation, tag):
        return Dead("unknown")
    if key is None:
        return decide_refresh(grant, generation, now, policy, key_usable=False)
    own = policy.with_retry_window(key.retry_window)
    packed = pack_address(address)
    decision = decide_refresh(grant, generation, now, own, key_usable=is_usable(key, now), last_from=packed)
    if key.allowed_ips and not isinstance(decision, Dead) and not allows_ip(key, address):
        return Dead("address_not_allowed")
    if isinstance(decision, Retry) and grant.last_from and packed:
        return Retry(grant, bucket(unpack_address(grant.last_from)) != bucket(unpack_address(packed)))
    return decision


def decide_refresh(
    grant: Grant | None,
    presented_generation: int,
    now: int,
    policy: Policy,
    *,
    key_usable: bool = True,
    last_from: bytes | None = None,
) -> Decision:
    """Decide what becomes of a refresh token whose signature and tag are proven.

    `key_usable` is false when the API key that opened the grant is revoked or expired; `last_from` is the packed
    address of the caller, which a rotation leaves in the grant.
    With a window of 0 this is strict single use: neither Retry nor Burst exists, not even within the same millisecond.
    """
    if grant is None:
        return Dead("unknown")
    if grant.revoked_at is not None:
        return Dead("replayed" if grant.revoked_why == "replayed" else "revoked")
    if not key_usable:
        return Dead("key_disabled")
    if now >= grant.idle_expires_at or now >= grant.expires_at:
        return Dead("expired")
    if presented_generation > grant.generation:
        return Ahead(grant)

    window = policy.retry_window
    if presented_generation < grant.generation:
        age = grant.generation - 1 - presented_generation
        retryable = window > 0 and age < len(grant.superseded) and _age(grant, age, now, policy) <= window
        return Retry(grant) if retryable else Replay(revoke(grant, now, "replayed"))

    # The ring is in order of time: where its oldest entry lies within the window, all of them do.
    if window > 0 and len(grant.superseded) >= RING_SIZE and _age(grant, -1, now, policy) <= window:
        return Burst(grant)
    return Rotate(_rotated(grant, now, policy, last_from))


def _age(grant: Grant, position: int, now: int, policy: Policy) -> int:
    """For how long a remembered generation has been superseded, less what nobody could be answered in."""
    superseded_at = grant.superseded[position]
    return now - (counted_from(superseded_at, policy.absences) if policy.absences else superseded_at)


def _rotated(grant: Grant, now: int, policy: Policy, last_from: bytes | None) -> Grant:
    # A clock that steps back must not make an older generation look younger than a newer one.
    older = grant.superseded
    superseded_at = max(now, older[0]) if older else now
    remembered = (
        superseded_at,
        *[at for at in older if superseded_at - counted_from(at, policy.absences) <= MAX_RETRY_WINDOW],
    )
    # By position, and so is the opening: naming the fields takes longer than all else here.
    return Grant(
        grant.grant_id,
        grant.key_id,
        grant.generation + 1,
        grant.seed,
        remembered[:RING_SIZE],
        grant.scope,
        grant.created_at,
        min(now + policy.idle_lifetime, grant.expires_at),
        grant.expires_at,
        None,
        None,
        last_from,
    )


def new_grant_id(now: int, entropy: bytes) -> bytes:
    """The id of a grant opened at `now`: 6 bytes of epoch milliseconds, then 10 random ones, as in a UUIDv7.

    Grants that are opened together, and will be refreshed together, lie together in the database, so that a batch of
    them changes few pages (RFC 9562 §5.7 and §6.13). The id is no secret: it is the `sid` claim.
    """
    if len(entropy) != GRANT_ID_ENTROPY:
        raise ValueError(f"a grant's id is made from {GRANT_ID_ENTROPY} random bytes")
    return now.to_bytes(6, "big") + entropy


def open_grant(
    *,
    grant_id: bytes,
    seed: bytes,
    key_id: str,
    scope: str | None,
    now: int,
    policy: Policy,
) -> Grant:
    """Open what an exchange opens: generation 0. `seed` is 16 random bytes, `grant_id` comes from `new_grant_id`."""
    expires_at = now + policy.absolute_lifetime
    idle_expires_at = min(now + policy.idle_lifetime, expires_at)
    return Grant(grant_id, key_id, 0, seed, (), scope, now, idle_expires_at, expires_at)


def revoke(grant: Grant, now: int, why: RevokedWhy) -> Grant:
    """End a grant by decision. A grant that is revoked already keeps its first reason."""
    if grant.revoked_at is not None:
        return grant
    return grant._replace(revoked_at=now, revoked_why=why)


def generation_tag(seed: bytes, generation: int) -> bytes:
    """Bind a refresh token to its row: 16 bytes that need the seed, which only the database holds.

    A leaked signing secret alone therefore forges nothing, although grant ids are visible in access tokens.
    """
    return blake2b(generation.to_bytes(8, "big"), key=seed, digest_size=16).digest()


def is_genuine(grant: Grant, generation: int, tag: bytes) -> bool:
    """Whether a refresh token's tag is that of its generation, compared in constant time."""
    return hmac.compare_digest(generation_tag(grant.seed, generation), tag)


def is_live(grant: Grant, now: int) -> bool:
    """Whether the grant could still rotate, its key permitting."""
    return grant.revoked_at is None and now < grant.idle_expires_at and now < grant.expires_at


def state_of(grant: Grant, key: ApiKey | None, now: int) -> str:
    """In a word: why it was revoked, `expired`, `ended` with its key, or `live`."""
    if grant.revoked_why is not None:
        return grant.revoked_why
    if not is_live(grant, now):
        return "expired"
    return "live" if key is not None and is_usable(key, now) else "ended"


REVOKED_KEPT = DAY
"""A revoked grant's row stays a day, so that its client and its operator are told `revoked` rather than `unknown`."""


def is_prunable(idle_expires_at: int, expires_at: int, revoked_at: int | None, now: int) -> bool:
    """Whether the row says nothing any more: expired, or revoked for longer than anyone will ask."""
    if now >= idle_expires_at or now >= expires_at:
        return True
    return revoked_at is not None and now - revoked_at >= REVOKED_KEPT


def excess_grants(live: int, policy: Policy) -> int:
    """How many grants of a key to close so that it is within its cap again.

    At the cap a hundredth of it is closed in one go: finding the ones to close costs a look at all of them.
    """
    if live <= policy.grants_per_key:
        return 0
    return live - policy.grants_per_key + policy.grants_per_key // 100


class GrantAge(NamedTuple):
    """What decides which grant of a key is closed first."""

    grant_id: bytes
    generation: int
    idle_expires_at: int
    created_at: int


def closing_order(grants: Sequence[GrantAge], count: int) -> list[bytes]:
    """The ids of the `count` grants to close first: never refreshed before least recently refreshed, oldest first."""

    def rank(grant: GrantAge) -> tuple[bool, int, int]:
        # The idle expiry slides on a rotation only, so it orders the refreshed ones by their last rotation.
        return (grant.generation > 0, grant.idle_expires_at if grant.generation else 0, grant.created_at)

    return [grant.grant_id for grant in sorted(grants, key=rank)[:count]]
