"""The secrets that the server cannot work without: peppers, refresh secrets, rotation secrets. Each kind is a ring.

One `Secrets` is shared by all of a process, and `learn` takes in what another process changed. `core/secret_ring.py`
decides which secret is used when. The functions each work inside one transaction of a store.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from hourpass.core import audit
from hourpass.core.api_key import ApiKey, KeySecret, key_digest, secret_of
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_hash import KeyHash, KeyHashes, imported_digest
from hourpass.core.key_rotation import MAX_OVERLAP, next_key_text
from hourpass.core.key_shape import PREFIX
from hourpass.core.policy import SECOND, Policy
from hourpass.core.secret_ring import SecretRing, SecretState, ServerSecret, decide_new_secret, ring_of
from hourpass.jose import RefreshTokens
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import (
    NEEDED,
    PEPPER,
    REFRESH,
    ROTATION,
    add_secret,
    open_secret,
    require_no_older_node,
)
from hourpass.server.store import Store, StoredSecret

SecretKind = Literal["refresh", "pepper", "rotation"]

FIRST_PEPPER = "1"
"""The kid of the first pepper. A digest whose pepper is not noted is under this one."""

ENDLESS = 2**62
"""Milliseconds for which an earlier pepper is accepted: until an operator retires it."""


class DigestMove(NamedTuple):
    """The digest of a key's secret is another one from now on, under the pepper of this kid. The repr shows neither."""

    key_id: str
    old: bytes
    new: bytes
    pepper: str

    def __repr__(self) -> str:
        """Without the digests."""
        return f"DigestMove({self.key_id!r})"


class DigestMatch(NamedTuple):
    """What may be stored of a text that may be an imported key, and what is stored of it from now on."""

    digest: bytes
    current: bytes


class Secrets:
    """The secrets as one process knows them. `pepper` and `rotation` are those in use. The repr shows none of them."""

    def __init__(self, master: MasterKey, stored: Iterable[StoredSecret], now: int, policy: Policy) -> None:
        self.master = master
        self._kept = {PEPPER: ENDLESS, ROTATION: MAX_OVERLAP, REFRESH: policy.absolute_lifetime}
        self._opened: dict[tuple[str, str], ServerSecret] = {}
        self._refresh_tokens: list[RefreshTokens] = []
        self.learn(stored, now)

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Secrets(…)"

    def learn(self, stored: Iterable[StoredSecret], now: int) -> None:
        """Take in the secrets as the database has them. One that is known already is not opened again.

        Raises:
            ConfigurationError: if the master key did not seal one of them. Then nothing has changed.
        """
        self._opened = {
            (each.name, each.kid): self._opened.get((each.name, each.kid)) or open_secret(self.master, each)
            for each in stored
            if each.name in self._kept
        }
        self.turn(now)

    def turn(self, now: int) -> None:
        """Go over to what is in use at an instant, and forget what can be of no use any more."""
        self.pepper, *old_peppers = self._accepted(PEPPER, now)
        self.peppers = (self.pepper, *old_peppers)
        self.rotation, *old_rotations = self._accepted(ROTATION, now)
        self._rotations = (self.rotation, *old_rotations)
        self.refresh = ring_of(self._accepted(REFRESH, now))
        for tokens in self._refresh_tokens:
            tokens.learn(self.refresh)

    def ring(self, kind: str) -> SecretRing:
        """All secrets of a kind."""
        return ring_of(secret for (name, _), secret in self._opened.items() if name == kind)

    def state(self, kind: str, secret: ServerSecret, now: int) -> SecretState:
        """The state of a secret at an instant."""
        return self.ring(kind).state(secret, now, self._kept[kind])

    def _accepted(self, kind: str, now: int) -> tuple[ServerSecret, ...]:
        return self.ring(kind).accepted(now, self._kept[kind])

    # Refresh tokens.

    @property
    def refresh_since(self) -> int:
        """When the oldest refresh secret was made. No token of a generation from before that is good."""
        return self.ring(REFRESH).secrets[-1].created_at

    def refresh_tokens(self, issuer: str) -> RefreshTokens:
        """What mints and opens refresh tokens, bound to this issuer's own endpoint. It learns what this learns."""
        tokens = RefreshTokens(self.refresh, issuer=issuer, audience=f"{issuer}/auth/refresh")
        self._refresh_tokens.append(tokens)
        return tokens

    # Digests of API keys.

    def new_digest(self, text: str) -> bytes:
        """What is stored of a key of our own."""
        return key_digest(self.pepper.secret, text)

    def secret_in(self, key: ApiKey, text: str) -> KeySecret | None:
        """Which of the key's secrets a text is, under whichever pepper."""
        for pepper in self.peppers:
            if (found := secret_of(text, key, pepper.secret)) is not None:
                return found
        return None

    def knows_peppers_of(self, key: ApiKey) -> bool:
        """Whether the digests of a key are under peppers that this process knows."""
        known = {pepper.kid for pepper in self.peppers}
        return all((secret.pepper or FIRST_PEPPER) in known for secret in key.secrets)

    def is_current(self, secret: KeySecret) -> bool:
        """Whether the digest of a secret is under the pepper in use."""
        return (secret.pepper or FIRST_PEPPER) == self.pepper.kid

    def digests(self, hashes: KeyHashes, text: str) -> Iterator[DigestMatch]:
        """What may be stored of a text, if it is an imported key, likeliest first."""
        return self.digests_of([each.of(text) for each in hashes.fast])

    def digests_of(self, hashed: list[bytes]) -> Iterator[DigestMatch]:
        """What may be stored of what a provider kept of a key, likeliest first."""
        current = [imported_digest(self.pepper.secret, each) for each in hashed]
        yield from (DigestMatch(digest, digest) for digest in current)
        for pepper in self.peppers[1:]:
            for each, now in zip(hashed, current, strict=True):
                yield DigestMatch(imported_digest(pepper.secret, each), now)

    def hmac_hash(self, known: KeyHashes, secret: bytes) -> KeyHash:
        """The hash that a provider's HMAC secret makes: the known one, whatever pepper named it, or a new one."""
        for each in known.fast:
            if each.secret == secret:
                return each
        return KeyHash("hmac-sha256", imported_digest(self.pepper.secret, secret).hex()[:12], secret)

    # Secrets that a rotation of a key made.

    def next_key_text(self, key: ApiKey, n: int, seed: bytes, prefix: str = PREFIX) -> str:
        """The text of a new secret of a key."""
        return next_key_text(self.rotation.secret, key, n, seed, prefix)

    def text_again(self, key: ApiKey, secret: KeySecret, prefix: str = PREFIX) -> str | None:
        """The text of a derived secret. None if it cannot be derived any more: keys have another prefix by now, say."""
        if secret.seed is None:
            return None
        for rotation in self._rotations:
            text = next_key_text(rotation.secret, key, secret.n, secret.seed, prefix)
            if self.secret_in(key._replace(secrets=(secret,)), text):
                return text
        return None


def move_digests(store: Store, moves: Iterable[DigestMove]) -> None:
    """Move digests. Those that were moved or taken from their keys meanwhile are passed over."""
    for move in moves:
        key = store.key(move.key_id)
        secret = next((each for each in key.secrets if each.digest == move.old), None) if key else None
        if secret is not None:
            store.move_digest(move.key_id, move.old, secret._replace(digest=move.new, pepper=move.pepper))


def make_missing_secrets(store: Store, master: MasterKey, now: int, random: Callable[[int], bytes]) -> None:
    """Make the first secret of each kind that has none."""
    for name in (PEPPER, ROTATION, REFRESH):
        if not store.secrets(name):
            add_secret(store, master, name, random(6).hex() if name == REFRESH else FIRST_PEPPER, random(32), now)


def rotate_secret(
    store: Store, secrets: Secrets, kind: SecretKind, now: int, random: Callable[[int], bytes], *, actor: str
) -> ServerSecret:
    """Publish a new secret of a kind. It is used a minute later, when every node knows it.

    Raises:
        InvalidRequest: if a new one waits already, or nodes of an older version run.
    """
    require_no_older_node(store)
    if waiting := decide_new_secret(secrets.ring(kind), now):
        seconds = -(-(waiting.used_from - now) // SECOND)
        raise InvalidRequest(f"a new {kind} secret is waiting already: it is used in {seconds} s")
    kid = random(6).hex()
    add_secret(store, secrets.master, kind, kid, random(32), now)
    secrets.learn(store.sealed_secrets(), now)
    new = secrets.ring(kind).secrets[0]
    if kind == PEPPER:
        store.need_program(NEEDED)
    store.append_audit(now, [audit.SecretRotated(kind, kid, secrets.ring(kind).used_from(new), actor)])
    return new


class Retired(NamedTuple):
    """The kids of the secrets that were deleted.

    If that ended all grants, `fresh` is the kid of the secret in their place. Every access token issued before
    `issued_before`, in epoch seconds, was revoked.
    """

    kids: list[str]
    fresh: str | None = None
    issued_before: int | None = None


def retirable(secrets: Secrets, kind: SecretKind, now: int) -> tuple[ServerSecret, ...]:
    """The secrets of a kind from before the one in use, newest first."""
    ring = secrets.ring(kind)
    return ring.secrets[ring.secrets.index(ring.used_at(now)) + 1 :]


def ends_grants(secrets: Secrets, kind: SecretKind, now: int) -> bool:
    """Whether retiring ends all grants: if a refresh token of an earlier secret can still be good.

    Somebody who can forge one may have refreshed with it, and holds a token of the secret in use.
    """
    return kind == REFRESH and any(secrets.state(kind, each, now) != "gone" for each in retirable(secrets, kind, now))


def retire_secrets(
    store: Store,
    secrets: Secrets,
    kind: SecretKind,
    now: int,
    policy: Policy,
    random: Callable[[int], bytes],
    *,
    actor: str,
) -> Retired:
    """Delete the secrets of a kind from before the one in use: nothing that they made is good any more.

    If that `ends_grants`, the secret in use is deleted too, and a fresh one is used at once. So every refresh token
    from before is dead, however many there are, and no row of a grant is touched.

    Raises:
        InvalidRequest: if there is none.
    """
    old = retirable(secrets, kind, now)
    if not old:
        raise InvalidRequest(f"there is no {kind} secret from before the one in use: rotate first, and wait a minute")
    if not ends_grants(secrets, kind, now):
        return Retired(_delete(store, kind, old, now, actor))
    # By then every node has learned of the fresh secret: until then one may still sign for an old refresh token.
    issued_before = now // SECOND + 2
    kids = _delete(store, kind, secrets.ring(kind).secrets, now, actor, issued_before)
    fresh = random(6).hex()
    add_secret(store, secrets.master, kind, fresh, random(32), now)
    store.append_audit(now, [audit.SecretRotated(kind, fresh, now, actor)])
    store.add_revocation("issued_before", str(issued_before), now + policy.revocation_lifetime)
    return Retired(kids, fresh, issued_before)


def _delete(
    store: Store,
    kind: str,
    old: Iterable[ServerSecret],
    now: int,
    actor: str,
    issued_before: int | None = None,
) -> list[str]:
    kids = [secret.kid for secret in old]
    for kid in kids:
        store.delete_secret(kind, kid)
    store.append_audit(now, [audit.SecretRetired(kind, kid, issued_before, actor) for kid in kids])
    return kids
