"""Administration of keys: API keys, signing keys, and the secrets behind them.

Each function works inside one transaction of a store, so the command and the server share them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hourpass.core import audit
from hourpass.core.api_key import (
    ENTROPY_BYTES,
    KEY_ID_PATTERN,
    ApiKey,
    Environment,
    key_digest,
    new_api_key,
    normal_scope,
)
from hourpass.core.claims import Claims
from hourpass.core.errors import ConfigurationError, InvalidRequest, InvalidScope, NotFound
from hourpass.core.grant import Grant, GrantRef, revoke
from hourpass.core.policy import LEEWAY, MAX_RETRY_WINDOW, SECOND, Policy
from hourpass.core.revocation import Revocation, token_until
from hourpass.core.signing_key import Algorithm, SigningKey, retire, schedule, signer, state_of
from hourpass.jose import Jwk, RefreshTokens, SigningKeyPair, VerificationKey
from hourpass.server.sealing import MasterKey
from hourpass.server.store import Store, StoredSigningKey

PAGE = 500

Random = Callable[[int], bytes]


class Secrets(NamedTuple):
    """What the server cannot work without. The repr says nothing."""

    pepper: bytes
    refresh_ring: list[tuple[str, bytes]]

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Secrets(…)"

    def refresh_tokens(self, issuer: str) -> RefreshTokens:
        """The minter and opener of refresh tokens, bound to this issuer's own refresh endpoint."""
        return RefreshTokens(self.refresh_ring, issuer=issuer, audience=f"{issuer}/auth/refresh")


def prepare(
    store: Store,
    master: MasterKey,
    algorithm: Algorithm,
    now: int,
    policy: Policy,
    random: Random,
    *,
    serving: bool,
) -> Secrets:
    """Make what is missing: the pepper, a refresh secret, and a signing key.

    Only who is `serving` brings a key of another algorithm in: a command may not know what the server was told.

    Raises:
        ConfigurationError: where the master key is not the one that sealed what is there.
    """
    if not store.secrets("pepper"):
        store.add_secret("pepper", "1", master.seal("pepper", random(32)), now)
    if not store.secrets("refresh"):
        kid = random(6).hex()
        store.add_secret("refresh", kid, master.seal(f"refresh secret {kid}", random(32)), now)
    keys = [stored.key for stored in store.signing_keys() if state_of(stored.key, now, policy) != "gone"]
    wanted = [key for key in keys if key.algorithm == algorithm and key.retired_at is None] if serving else keys
    if not wanted:
        _publish(store, master, algorithm, keys, now, policy, random, actor="server")
    return Secrets(
        pepper=master.open("pepper", store.secrets("pepper")[0][1]),
        refresh_ring=[(kid, master.open(f"refresh secret {kid}", sealed)) for kid, sealed in store.secrets("refresh")],
    )


def _publish(
    store: Store,
    master: MasterKey,
    algorithm: Algorithm,
    keys: list[SigningKey],
    now: int,
    policy: Policy,
    random: Random,
    *,
    actor: str,
) -> SigningKey:
    kid = random(6).hex()
    pair = SigningKeyPair.generate(kid, algorithm)
    key = schedule(kid, algorithm, keys, now, policy)
    for old in keys:
        if old.retired_at is None:
            store.retire_signing_key(old.kid, retire(old, key).retired_at or now)
    store.add_signing_key(StoredSigningKey(key, master.seal(f"signing key {kid}", pair.private_bytes())))
    store.append_audit(now, [audit.SigningKeyPublished(kid, algorithm, key.signs_from, actor)])
    return key


def rotate_signing_key(
    store: Store, master: MasterKey, now: int, policy: Policy, random: Random, *, actor: str
) -> SigningKey:
    """Publish a signing key of the newest one's algorithm; it takes over when verifiers have had time to learn of it.

    The one that signs until then retires at that instant, and verifies until its last token has expired.

    Raises:
        InvalidRequest: where a key is waiting to sign already: a second one would retire it before it ever did.
    """
    keys = [stored.key for stored in store.signing_keys()]
    for key in keys:
        if state_of(key, now, policy) == "published":
            seconds = -(-(key.signs_from - now) // SECOND)
            raise InvalidRequest(f"the signing key {key.kid} is waiting already: it signs in {seconds} s")
    return _publish(store, master, keys[-1].algorithm, keys, now, policy, random, actor=actor)


class SigningKeys:
    """The signing keys in memory: who signs now, and what verifies."""

    def __init__(
        self,
        stored: list[StoredSigningKey],
        master: MasterKey,
        policy: Policy,
        *,
        known: "SigningKeys | None" = None,
    ) -> None:
        self._policy = policy
        # A pair that is known already stays the same object, so facts that were verified with it stay good.
        pairs = known.pairs if known else {}
        self.pairs: dict[str, SigningKeyPair] = {
            key.kid: pairs.get(key.kid)
            or SigningKeyPair.from_private_bytes(key.kid, key.algorithm, master.open(f"signing key {key.kid}", sealed))
            for key, sealed in stored
        }
        self._keys = [key for key, _ in stored]
        self._until = -1
        self._pair: SigningKeyPair | None = None

    def pair(self, now: int) -> SigningKeyPair:
        """The key that signs now.

        Raises:
            ConfigurationError: where none does.
        """
        if now >= self._until or self._pair is None:
            key = signer(self._keys, now, self._policy)
            if key is None:
                raise ConfigurationError("no signing key is in its signing state")
            self._pair = self.pairs[key.kid]
            # Until the next boundary of any key, the answer stays the same.
            self._until = min((at for at in self._boundaries() if at > now), default=2**63)
        return self._pair

    def _boundaries(self) -> Iterator[int]:
        for key in self._keys:
            yield key.signs_from
            if key.retired_at is not None:
                yield key.retired_at

    def verification_keys(self, now: int) -> dict[bytes, VerificationKey]:
        """What may verify now, by header segment."""
        pairs = [self.pairs[key.kid] for key in self._keys if state_of(key, now, self._policy) != "gone"]
        return {pair.header: pair.verification_key for pair in pairs}

    def jwks(self, now: int) -> list[Jwk]:
        """The public keys that verifiers may need now, the published ones included."""
        return [key.jwk for key in self.verification_keys(now).values()]


class NewKey(NamedTuple):
    """A key as its owner sees it this once. The repr says nothing of the secret."""

    key: ApiKey
    api_key: str

    def __repr__(self) -> str:
        """Without the key itself."""
        return f"NewKey({self.key.key_id!r})"


def create_key(
    store: Store,
    pepper: bytes,
    *,
    name: str,
    now: int,
    random: Random,
    actor: str,
    scope: str = "",
    environment: Environment = "production",
    subject: str | None = None,
    audience: str | None = None,
    expires_in: int | None = None,
    retry_window: int | None = None,
    allowed_ips: tuple[str, ...] = (),
) -> NewKey:
    """Make and keep an API key. Durations are in milliseconds; `subject` is the key id where none is given.

    Raises:
        InvalidScope: where the scope breaks RFC 6749 §3.3's grammar.
        InvalidRequest: where another member is out of range.
    """
    normal = normal_scope(scope)
    if normal is None:
        raise InvalidScope(f"not a scope: {scope!r}")
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise InvalidRequest("a name is 1 to 200 printable characters", name="name")
    if expires_in is not None and expires_in <= 0:
        raise InvalidRequest("a key expires in the future", name="expires_in")
    if retry_window is not None and not 0 <= retry_window <= MAX_RETRY_WINDOW:
        raise InvalidRequest(f"a retry window is 0 to {MAX_RETRY_WINDOW // 1000} seconds", name="retry_window")
    key_id, text = new_api_key(environment, random(ENTROPY_BYTES))
    key = ApiKey(
        key_id=key_id,
        name=name,
        digest=key_digest(pepper, text),
        subject=_header_safe(subject, "subject") or key_id,
        scope=normal,
        environment=environment,
        audience=_header_safe(audience, "audience") or None,
        retry_window=retry_window,
        allowed_ips=allowed_ips,
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
    )
    store.add_key(key)
    store.append_audit(now, [audit.KeyCreated(key_id, name, actor)])
    return NewKey(key, text)


def _header_safe(text: str | None, name: str) -> str:
    # Both travel in HTTP headers behind a proxy: visible ASCII cannot break one.
    text = text or ""
    if len(text) > 200 or not all("\x21" <= character <= "\x7e" for character in text):
        raise InvalidRequest(f"a {name} is up to 200 visible ASCII characters", name=name)
    return text


def get_key(store: Store, key_id: str) -> ApiKey:
    """One API key.

    Raises:
        NotFound: where no key has this id.
    """
    key = store.key(key_id) if KEY_ID_PATTERN.fullmatch(key_id) else None
    if key is None:
        raise NotFound(f"no API key has the id {key_id!r}")
    return key


def all_keys(store: Store) -> Iterator[ApiKey]:
    """Every API key, in the order of their ids."""
    after = ""
    while page := store.keys_page(after, PAGE):
        yield from page
        after = page[-1].key_id


def revoke_key(store: Store, key_id: str, now: int, policy: Policy, actor: str) -> Revocation | None:
    """End an API key, its grants and their access tokens. None where it was revoked before.

    Raises:
        NotFound: where no key has this id.
    """
    get_key(store, key_id)
    if not store.revoke_key(key_id, now):
        return None
    store.append_audit(now, [audit.KeyRevoked(key_id, actor)])
    # The grants' rows need no change: a grant whose key has ended is dead, and this entry refuses their access tokens.
    return store.add_revocation("key", key_id, now + policy.revocation_lifetime)


def get_grant(store: Store, grant_id: str) -> Grant:
    """One grant.

    Raises:
        NotFound: where no grant has this id.
    """
    try:
        raw = bytes.fromhex(grant_id)
    except ValueError:
        raw = b""
    grant = store.find_grant(raw)
    if grant is None:
        raise NotFound(f"no grant has the id {grant_id!r}")
    return grant


def all_grants(store: Store, key_id: str | None = None) -> Iterator[Grant]:
    """Every grant, of one key or of all, in the order of their ids."""
    after = GrantRef(key_id or "", b"")
    while page := store.grants_of_key(*after, PAGE) if key_id else store.grants_page(after, PAGE):
        yield from page
        after = page[-1].ref


def revoke_grant(
    store: Store, grant: Grant, now: int, policy: Policy, *, actor: str, token: bool = False
) -> Revocation | None:
    """End a grant and its access tokens. None where it was revoked before.

    `token` says that a refresh token was revoked (RFC 7009), rather than the grant by its id.
    """
    grant = revoke(grant, now, "token_revoked" if token else "revoked")
    if not store.revoke_grant(grant):
        return None
    grant_id = grant.grant_id.hex()
    store.append_audit(now, [audit.GrantRevoked(grant_id, grant.key_id, str(grant.revoked_why), actor)])
    return store.add_revocation("grant", grant_id, now + policy.revocation_lifetime)


def revoke_token(store: Store, claims: Claims, now: int, *, actor: str) -> Revocation:
    """End a single access token."""
    store.append_audit(now, [audit.TokenRevoked(claims.jti, claims.sid, claims.client_id, actor)])
    return store.add_revocation("token", claims.jti, token_until(claims.exp, LEEWAY))
