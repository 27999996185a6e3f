"""The secrets that the server cannot work without: those of keys, refresh tokens, rotations and the audit trail.

Those of a kind are a ring. One `Secrets` is shared by all of a process, and `learn` takes in what another process
changed. `core/secret_ring.py` decides which secret is used when. The functions each work inside one transaction of a
store.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hourpass.core.api_key import ApiKey, KeySecret, key_digest, secret_of
from hourpass.core.errors import ConfigurationError
from hourpass.core.key_hash import KeyHash, KeyHashes, imported_digest
from hourpass.core.key_rotation import MAX_OVERLAP, next_key_text
from hourpass.core.key_shape import PREFIX
from hourpass.core.policy import Policy
from hourpass.core.secret_ring import SecretRing, SecretState, ServerSecret, ring_of
from hourpass.jose import OpenedRefreshToken, RefreshTokens, unverified_audience, unverified_issuer
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import (
    PEPPER,
    REFRESH,
    ROTATION,
    TRAIL,
    add_secret,
    open_secret,
)
from hourpass.server.store import Store
from hourpass.server.store.connection import ENDLESS
from hourpass.server.store.sealed import StoredSecret

FIRST_PEPPER = "1"
"""The kid of the first pepper. A digest whose pepper is not noted is under this one."""


def _refresh_audience(issuer: str) -> str:
    return f"{issuer}/auth/refresh"


def _admin_refresh_audience(issuer: str) -> str:
    return f"{issuer}/admin/auth/refresh"


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
    """What may be stored of a text that may be an imported key, and what is stored of it from now on.

    `pepper` is the kid of the pepper that `current` is under.
    """

    digest: bytes
    current: bytes
    pepper: str


class Secrets:
    """The secrets as one process knows them. The repr shows none of them.

    `peppers` are those that are accepted, the one in use first. Work in another thread reads them once.
    """

    def __init__(self, master: MasterKey, stored: Iterable[StoredSecret], now: int, policy: Policy) -> None:
        self.master = master
        self._kept = {
            PEPPER: ENDLESS,
            ROTATION: MAX_OVERLAP,
            REFRESH: policy.absolute_lifetime,
            TRAIL: ENDLESS,
        }
        self._opened: dict[tuple[str, str], ServerSecret] = {}
        self._refresh_tokens: list[RefreshTokens] = []
        self.peppers: tuple[ServerSecret, ...] = ()
        self._rotations: tuple[ServerSecret, ...] = ()
        self.learn(stored, now)

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Secrets(…)"

    def learn(self, stored: Iterable[StoredSecret], now: int) -> None:
        """Take in the secrets as the database has them. One that is known already is not opened again.

        Raises:
            ConfigurationError: if the master key did not seal one of them. What is gone is forgotten nevertheless, and
                what can be opened is known.
        """
        found = {(each.name, each.kid): each for each in stored if each.name in self._kept}
        opened = {named: secret for named, secret in self._opened.items() if named in found}
        trouble = None
        for named in found.keys() - opened.keys():
            try:
                opened[named] = open_secret(self.master, found[named])
            except ConfigurationError as error:
                trouble = error
        self._opened = opened
        self.turn(now)
        if trouble:
            raise trouble

    def turn(self, now: int) -> None:
        """Go over to what is in use at an instant, and forget what can be of no use any more."""
        # Each is replaced as a whole, because another thread may read it meanwhile.
        self.peppers = self._accepted(PEPPER, now) or self.peppers
        self._rotations = self._accepted(ROTATION, now) or self._rotations
        self.refresh = ring_of(self._accepted(REFRESH, now))
        for tokens in self._refresh_tokens:
            tokens.learn(self.refresh)

    @property
    def pepper(self) -> ServerSecret:
        """The pepper in use."""
        return self.peppers[0]

    @property
    def rotation(self) -> ServerSecret:
        """The rotation secret in use."""
        return self._rotations[0]

    @property
    def is_whole(self) -> bool:
        """Whether a secret of each kind is known that tokens need. If not, they were retired, and those in their place
        do not open.
        """
        return {PEPPER, ROTATION, REFRESH} <= {name for name, _ in self._opened}

    def ring(self, kind: str) -> SecretRing:
        """All secrets of a kind."""
        return ring_of(secret for (name, _), secret in self._opened.items() if name == kind)

    def state(self, kind: str, secret: ServerSecret, now: int) -> SecretState:
        """The state of a secret at an instant."""
        return self.ring(kind).state(secret, now, self._kept[kind])

    def _accepted(self, kind: str, now: int) -> tuple[ServerSecret, ...]:
        ring = self.ring(kind)
        return ring.accepted(now, self._kept[kind]) if ring.secrets else ()

    # Refresh tokens.

    @property
    def refresh_since(self) -> int:
        """When the oldest refresh secret was made. No token of a generation from before that is good."""
        return self.ring(REFRESH).secrets[-1].created_at

    def refresh_tokens(self, issuer: str) -> RefreshTokens:
        """What mints and opens refresh tokens, bound to this issuer's own endpoint. It learns what this learns."""
        return self._refreshing(issuer, _refresh_audience(issuer))

    def admin_refresh_tokens(self, issuer: str) -> RefreshTokens:
        """The same for the refresh endpoint of the admin listener. Neither opens the other's tokens."""
        return self._refreshing(issuer, _admin_refresh_audience(issuer))

    def _refreshing(self, issuer: str, audience: str) -> RefreshTokens:
        tokens = RefreshTokens(self.refresh, issuer=issuer, audience=audience)
        self._refresh_tokens.append(tokens)
        return tokens

    def open_own(self, token: bytes, issuer: str, now: int) -> OpenedRefreshToken:
        """Open a refresh token of either listener, for an operator who asks about it. `now` is epoch seconds.

        The signature is checked with this server's own secret, so the issuer in the token is believed: a command may
        not know the server's port. `issuer` is taken if it names none.

        Raises:
            InvalidGrant: if it is not a token of ours, or has expired.
        """
        issuer = unverified_issuer(token) or issuer
        audiences = (_refresh_audience(issuer), _admin_refresh_audience(issuer))
        audience = next((each for each in audiences if each == unverified_audience(token)), audiences[0])
        return RefreshTokens(self.refresh, issuer=issuer, audience=audience).open(token, now)

    # Digests of API keys.

    def new_digest(self, text: str) -> tuple[bytes, str]:
        """What is stored of a key of our own, and the kid of the pepper that it is under."""
        pepper = self.pepper
        return key_digest(pepper.secret, text), pepper.kid

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
        in_use, *others = self.peppers
        current = [imported_digest(in_use.secret, each) for each in hashed]
        yield from (DigestMatch(digest, digest, in_use.kid) for digest in current)
        for pepper in others:
            for each, now in zip(hashed, current, strict=True):
                yield DigestMatch(imported_digest(pepper.secret, each), now, in_use.kid)

    def hmac_hash(self, known: KeyHashes, secret: bytes) -> KeyHash:
        """The hash that a provider's HMAC secret makes: the known one, under the pepper that named it, or a new one."""
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
        if not store.sealed_secrets(name):
            add_secret(store, master, name, random(6).hex() if name == REFRESH else FIRST_PEPPER, random(32), now)
