"""The heart of hourpass: how a refresh token rotates, retries and dies.

A grant is what one exchange opened. It has one row, updated in place, and at most one generation that can still
rotate. `judge` decides what a refresh token is worth. It uses `decide_refresh`, which is the whole rule of rotation.
Stores, HTTP and clients only carry out what these two decide.
"""

import hmac
import re
from hashlib import blake2b
from typing import Literal, NamedTuple

from hourpass.core.absence import counted_from
from hourpass.core.address import pack_address, unpack_address
from hourpass.core.api_key import ApiKey, allows_ip, is_usable, why_unusable
from hourpass.core.caller import bucket
from hourpass.core.errors import RefusalReason
from hourpass.core.policy import MAX_RETRY_WINDOW, RING_SIZE, Policy

GRANT_ID_PATTERN = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
"""A grant's id as people and programs get it."""

GRANT_ID_ENTROPY = 7
SEED_BYTES = 16
"""Random bytes in a grant's id. 56 bits keep grants apart that are opened within the same millisecond."""

KEY_IN_GRANT_ID = 3
"""Bytes of its key's id in a grant's id. Of 100,000 keys two begin alike: so few are looked through for a grant."""

RevokedWhy = Literal["replayed", "revoked", "token_revoked", "restored"]
"""Why a grant ended by decision: a replay was seen, an operator revoked it, its refresh token was revoked, or the
installation was restored from a backup that had it."""

GrantState = Literal["live", "expired", "ended", "disabled"] | RevokedWhy
"""What `state_of` says of a grant."""


class GrantRef(NamedTuple):
    """What finds a grant: the API key that opened it, and the grant's own id (16 bytes).

    The key comes first, so that a key's grants lie together and a database can be split by key.
    """

    key_id: str
    grant_id: bytes


class Grant(NamedTuple):
    """The state of a grant. Instants are epoch milliseconds.

    `superseded[i]` is when generation `generation - 1 - i` was superseded, newest first. Entries older than the longest
    retry window are dropped: such a generation is a replay, remembered or not. `scope` is None if the exchange did not
    narrow it: the tokens then get the whole scope of the key. `audience` is None if it did not ask for one of several:
    the tokens are then for any audience of the key. Subject and environment are the key's.
    `opened_from` and `last_from` are the packed addresses of the exchange and of the last rotation.
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
    opened_from: bytes | None = None
    audience: str | None = None

    @property
    def ref(self) -> GrantRef:
        """What finds this grant."""
        return GrantRef(self.key_id, self.grant_id)

    @property
    def generation_at(self) -> int:
        """When the current generation began: at the last rotation, or at the exchange."""
        return self.superseded[0] if self.superseded else self.created_at

    def owned_scope(self, scope_of_key: str) -> str:
        """The scope that the grant's tokens may have. `scope_of_key` is the scope of the key that opened it.

        A grant that was narrowed keeps no scope that its key has lost since.
        """
        if self.scope is None or self.scope == scope_of_key:
            return scope_of_key
        owned = scope_of_key.split()
        return " ".join(scope for scope in self.scope.split() if scope in owned)

    def __repr__(self) -> str:
        """Without the seed: it is half of what a refresh token is made of."""
        return f"Grant({self.grant_id.hex()}, key_id={self.key_id!r}, generation={self.generation})"


class Rotate(NamedTuple):
    """The current generation was presented: the grant moves on by one."""

    grant: Grant


class Burst(NamedTuple):
    """The current generation was presented, but K rotations lie within the window: it stays the current one.

    One more rotation would push a generation out of the ring while its holder may still retry.
    """

    grant: Grant


class Retry(NamedTuple):
    """A generation superseded within the window was presented: the current generation is the answer again.

    `elsewhere` is true if it came from another address than the rotation. Either the client moved, or a thief refreshes
    right after the owner. Such a thief would otherwise never be seen.
    """

    grant: Grant
    elsewhere: bool = False


class Replay(NamedTuple):
    """A generation superseded before the window was presented, by a thief or a victim.

    The grant is revoked (RFC 9700 §4.14.2).
    """

    grant: Grant


class Ahead(NamedTuple):
    """A generation that the grant has not reached was presented: after a restored backup or a lossy failover.

    The refresh is refused, but the grant is not revoked.
    """

    grant: Grant


class Dead(NamedTuple):
    """This token cannot refresh anything. `reason` is the word that the caller gets."""

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
    *,
    admin: bool = False,
) -> Decision:
    """Decide what a refresh token is worth whose signature is proven.

    `grant` and `key` are what the database has, None if it has no such row. `generation` and `tag` come from the token,
    `now` is epoch milliseconds, `address` is the caller's. `admin` says that the admin listener asks: it refreshes the
    grants of admin keys alone, and every other listener all others. A caller at the wrong listener, or from outside the
    key's allow-list, is refused before anything in the grant changes: nothing is rotated, burnt or revoked.
    """
    if grant is None or not is_genuine(grant, generation, tag):
        return Dead("unknown")
    if key is None:
        return decide_refresh(grant, generation, now, policy, key_usable=False)
    if (key.admin is not None) is not admin:
        return Dead("unknown")
    if key.valid_from is not None and grant.created_at < key.valid_from:
        return Dead("revoked")
    if grant.audience is not None and key.audience is not None and grant.audience not in key.audiences(""):
        return Dead("invalid_target")
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
    """Decide what happens to a refresh token whose signature and tag are proven.

    `now` is epoch milliseconds. `key_usable` is false if the API key that opened the grant is revoked or expired.
    `last_from` is the packed address of the caller. A rotation writes it into the grant.
    A window of 0 means strict single use: there is no Retry and no Burst, not even within the same millisecond.
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

    # The ring is in order of time: if its oldest entry lies within the window, all of them do.
    if window > 0 and len(grant.superseded) >= RING_SIZE and _age(grant, -1, now, policy) <= window:
        return Burst(grant)
    return Rotate(_rotated(grant, now, policy, last_from))


def _age(grant: Grant, position: int, now: int, policy: Policy) -> int:
    """How many milliseconds ago a remembered generation was superseded, without the time of absences."""
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
    # By position, as in `open_grant`: naming the fields takes longer than everything else here.
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
        grant.opened_from,
        grant.audience,
    )


def new_grant_id(now: int, entropy: bytes, key_id: str) -> bytes:
    """A grant's id: 6 bytes of epoch milliseconds, 3 of how its key's id begins, then 7 random ones.

    Grants that are opened together are usually refreshed together. With this id they lie together in the database, so a
    batch of them changes few pages (RFC 9562 §5.7 and §6.13). The key's part finds a grant of which only this id is
    known (`keys_of_grant`). The id is not a secret: it is the `sid` claim.

    Raises:
        ValueError: if `entropy` is not 7 bytes.
    """
    if len(entropy) != GRANT_ID_ENTROPY:
        raise ValueError(f"a grant's id needs exactly {GRANT_ID_ENTROPY} random bytes")
    return now.to_bytes(6, "big") + key_id[:KEY_IN_GRANT_ID].encode() + entropy


def keys_of_grant(grant_id: bytes) -> tuple[str, str] | None:
    """Between which ids of keys a grant's key is, if the grant's id tells. One that an older program made does not."""
    begins = grant_id[6 : 6 + KEY_IN_GRANT_ID].decode("latin-1")
    return (begins, begins + "~") if begins.isascii() and begins.isalnum() else None


def open_grant(
    *,
    grant_id: bytes,
    seed: bytes,
    key_id: str,
    scope: str | None,
    now: int,
    policy: Policy,
    opened_from: bytes | None = None,
    audience: str | None = None,
) -> Grant:
    """The grant that an exchange opens, at generation 0.

    `seed` is 16 random bytes, `grant_id` comes from `new_grant_id`, `now` is epoch milliseconds, `opened_from` is the
    caller's packed address, `audience` the one that it asked for, if any.
    """
    expires_at = now + policy.absolute_lifetime
    idle_expires_at = min(now + policy.idle_lifetime, expires_at)
    # By position: names cost each exchange a microsecond.
    return Grant(
        grant_id,
        key_id,
        0,
        seed,
        (),
        scope,
        now,
        idle_expires_at,
        expires_at,
        None,
        None,
        None,
        opened_from,
        audience,
    )


def revoke(grant: Grant, now: int, why: RevokedWhy) -> Grant:
    """Revoke a grant. A grant that is revoked already keeps its first reason."""
    if grant.revoked_at is not None:
        return grant
    return grant._replace(revoked_at=now, revoked_why=why)


def generation_tag(seed: bytes, generation: int) -> bytes:
    """The 16 bytes that bind a refresh token to its row. They need the seed, which only the database holds.

    Grant ids are visible in access tokens, but nobody can forge a refresh token with a leaked signing secret alone.
    """
    return blake2b(generation.to_bytes(8, "big"), key=seed, digest_size=16).digest()


def is_genuine(grant: Grant, generation: int, tag: bytes) -> bool:
    """Whether a refresh token's tag is that of its generation, compared in constant time."""
    return hmac.compare_digest(generation_tag(grant.seed, generation), tag)


def is_live(grant: Grant, now: int) -> bool:
    """Whether the grant can still rotate, if its key is valid."""
    return grant.revoked_at is None and now < grant.idle_expires_at and now < grant.expires_at


def state_of(grant: Grant, key: ApiKey | None, now: int, refresh_since: int = 0) -> str:
    """The state in one word: why it was revoked, `expired`, `ended`, `disabled` (as its key) or `live`.

    It ended with its key, or with the secret of its refresh token: `refresh_since` is when the oldest one was made. The
    grants of a disabled key go on once the key is enabled again.
    """
    if grant.revoked_why is not None:
        return grant.revoked_why
    if not is_live(grant, now):
        return "expired"
    if key is None or (key.valid_from is not None and grant.created_at < key.valid_from):
        return "ended"
    if grant.generation_at < refresh_since:
        return "ended"
    trouble = why_unusable(key, now)
    if trouble is None:
        return "live"
    return "disabled" if trouble == "disabled" else "ended"
