"""The use cases: exchange, refresh, verify, revoke, introspect.

Each is told what time it is. What may happen is decided in `core`; what happened is durable before anyone is answered.
"""

import os
from collections import Counter
from typing import NamedTuple

import msgspec

from hourpass.core.api_key import (
    ApiKey,
    allows_ip,
    is_usable,
    is_well_formed,
    narrow_scope,
    proves,
    unverified_key_id,
)
from hourpass.core.claims import Claims, Expected, require_scope
from hourpass.core.errors import (
    ConfigurationError,
    InsufficientScope,
    InvalidCredentials,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    RefusalReason,
    StorageUnavailable,
    Unavailable,
)
from hourpass.core.grant import (
    GRANT_ID_ENTROPY,
    Ahead,
    Burst,
    Dead,
    Decision,
    Grant,
    GrantRef,
    Retry,
    Rotate,
    decide_refresh,
    generation_tag,
    is_prunable,
    new_grant_id,
    open_grant,
)
from hourpass.core.policy import SECOND, Policy
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import AccessClaims, Jwk, OpenedRefreshToken, SigningKeyPair, encode_segment
from hourpass.server.config import Settings
from hourpass.server.feed import RevocationFeed
from hourpass.server.keys import revoke_grant, revoke_token
from hourpass.server.ledger import Ledger, Refreshed, Refreshing
from hourpass.server.sealing import MasterKey
from hourpass.server.signing_keys import Secrets, SigningKeys
from hourpass.server.store import Store
from hourpass.server.throttle import Throttle
from hourpass.verifier.token_verifier import TokenVerifier

INTROSPECT_SCOPE = "introspect"
"""The scope that a key needs to introspect tokens."""

JTI_BYTES = 15
"""120 random bits, 20 base64url characters."""

PRUNE_PAGE = 500
"""Grants looked at in one transaction of pruning: well under a millisecond of the ledger's time."""


class TokenPair(msgspec.Struct, frozen=True):
    """What an exchange and a refresh answer; `expires_in` is in seconds. The repr says nothing."""

    access_token: bytes
    refresh_token: bytes
    expires_in: int
    scope: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "TokenPair(…)"


class Wish(NamedTuple):
    """What a caller may ask for beyond the plain answer: only narrower, only shorter (seconds)."""

    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None


_NO_WISH = Wish()

_COUNTED: dict[type[Decision], str] = {Rotate: "refresh_rotate", Burst: "refresh_burst", Retry: "refresh_retry"}
"""By the decision that a pair was granted on. Written out, as making the name anew costs microseconds."""


class _Entropy:
    """Random bytes from the kernel, a page at a time: the system call costs far more than the bytes."""

    def __init__(self) -> None:
        self._page = b""
        self._used = 0

    def draw(self, count: int) -> bytes:
        """Bytes that nobody was given before."""
        if self._used + count > len(self._page):
            self._page, self._used = os.urandom(4_096), 0
        start = self._used
        self._used += count
        return self._page[start : self._used]


class Issuer:
    """The use cases on one ledger. `observe` has to be called every fraction of a second.

    `numbered_since` is the instant since which revocations are numbered without a break, for nodes on one database to
    agree on; by default the start.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        secrets: Secrets,
        signing_keys: SigningKeys,
        master: MasterKey,
        counts: Counter[str],
        now: int,
        *,
        numbered_since: int | None = None,
    ) -> None:
        self._policy: Policy = settings.policy()
        self.ledger = ledger
        self._master = master
        self.secrets = secrets
        self.url = settings.public_url()
        self._audience = settings.audience or self.url
        self._refresh_tokens = secrets.refresh_tokens(self.url)
        self._signing_keys = signing_keys
        self._exchanges = Throttle(settings.exchange_limit)
        self._failures = Throttle(settings.exchange_limit)
        self._accept_api_keys = settings.accept_api_keys
        self._staleness = settings.revocation_staleness * SECOND
        self._observed_at = now
        self._version = -1
        self.revocations = Revocations()
        self.feed = RevocationFeed(
            lambda after, now: ledger.read(lambda store: store.revocations_after(after, now)),
            self._signing_pair,
            self.revocations,
            issuer=self.url,
            epoch=(now if numbered_since is None else numbered_since) // SECOND,
            catch_up=self.observe,
        )
        expected = Expected(self.url, self._audience, self._policy.access_token_lifetime)
        keys = signing_keys.verification_keys(now)
        self._verifier = TokenVerifier(expected, keys, self.revocations)
        self._own_verifier = TokenVerifier(expected._replace(audience=None), keys, self.revocations)
        self.counts = counts
        self._entropy = _Entropy()

    # Tokens.

    async def exchange(self, api_key: str, wish: Wish, address: str | None, now: int) -> TokenPair:
        """Exchange an API key for its first pair.

        Raises:
            InvalidCredentials: where the key does not count; Throttled: where it, or a stranger's guessing, is too
            fast. InvalidScope, InvalidRequest: where the wish goes beyond the key. StorageUnavailable: where nothing
            was kept.
        """
        return await self.open(await self.authenticate(api_key, address, now, throttled=True), wish, now)

    async def open(self, key: ApiKey, wish: Wish, now: int) -> TokenPair:
        """Open a grant for a key that is proven, and answer its first pair. Raises as `exchange` does."""
        self._exchanges.admit(key.key_id, now)
        scope = _narrowed(key.scope, wish.scope)
        lifetime = self._lifetime(wish, key, now)
        if wish.audience is not None and wish.audience != (key.audience or self._audience):
            raise InvalidRequest("the key is not for this audience", name="audience")
        grant = open_grant(
            grant_id=new_grant_id(now, self._entropy.draw(GRANT_ID_ENTROPY)),
            seed=self._entropy.draw(16),
            key_id=key.key_id,
            scope=None if wish.scope is None else scope,
            now=now,
            policy=self._policy,
        )
        closed, pair = await self.ledger.open(
            grant,
            now,
            lambda opened: (opened.closed, self._pair(grant, opened.key, scope, lifetime, now)),
        )
        self.counts["exchange"] += 1
        self.counts["grants_closed"] += closed
        return pair

    async def refresh(
        self, token: str, wish: Wish, address: str | None, now: int, *, client_id: str | None = None
    ) -> TokenPair:
        """Refresh. A client that says who it is must be the one that the grant belongs to (RFC 6749 §6).

        Raises:
            InvalidGrant: with the reason; StorageUnavailable: where nothing was kept.
            InvalidScope, InvalidRequest: where the wish goes beyond the grant.
        """
        try:
            opened = self._open_refresh_token(token, now)
            if client_id is not None or wish != _NO_WISH:
                await self._require_refreshable(opened, wish, client_id)
            answer, pair = await self.ledger.refresh(
                Refreshing(*opened, address, now), lambda answer: (answer, self._refreshed(answer, wish, now))
            )
        except InvalidGrant as error:
            self.counts[f"refresh_{error.reason}"] += 1
            raise
        outcome = answer.decision
        if pair is not None:
            self.counts[_COUNTED[type(outcome)]] += 1
            return pair
        self._revoked(answer.revocation, now)
        reason: RefusalReason = "replayed"
        match outcome:
            case Dead():
                reason = outcome.reason
            case Ahead():
                reason = "ahead"
            case _:
                pass
        self.counts[f"refresh_{reason}"] += 1
        raise InvalidGrant(reason)

    def _refreshed(self, answer: Refreshed, wish: Wish, now: int) -> TokenPair | None:
        """The pair that a decision grants, None where it grants none."""
        match answer.decision:
            case Rotate(grant) | Burst(grant) | Retry(grant) if answer.key is not None:
                key = answer.key
                scope = _narrowed(key.scope if grant.scope is None else grant.scope, wish.scope)
                return self._pair(grant, key, scope, self._lifetime(wish, key, now), now)
            case _:
                return None

    def verify(self, token: bytes, now: int, scope: str = "") -> Claims:
        """Verify an access token and judge its scope.

        Raises:
            InvalidToken, InsufficientScope; Unavailable: where revocations have not been looked up for too long.
        """
        self._require_fresh(now)
        claims = self._verifier.verify(token, now)
        if scope:
            require_scope(claims.scope, scope)
        return claims

    async def verify_api_key(self, api_key: str, address: str | None, now: int, scope: str = "") -> ApiKey:
        """Verify an API key that came instead of a token, where the operator's policy accepts that.

        Raises:
            InvalidCredentials, InsufficientScope; StorageUnavailable: where the key could not be looked up.
        """
        if not self._accept_api_keys:
            raise InvalidCredentials("API keys are not accepted here")
        self._require_fresh(now)
        key = await self.authenticate(api_key, address, now)
        require_scope(key.scope, scope)
        return key

    async def authenticate(self, api_key: str, address: str | None, now: int, *, throttled: bool = False) -> ApiKey:
        """Prove an API key.

        Wrong ones are limited per address, if asked, but a good one is never held up by them: many clients share an
        address.

        Raises:
            InvalidCredentials: with a reason only where the key itself was genuine; Throttled; StorageUnavailable.
        """
        key_id = unverified_key_id(api_key)
        key = self.ledger.cached_key(key_id)
        if key is None and is_well_formed(api_key):
            key = await self.ledger.key(key_id)
        if key is not None and proves(api_key, key, self.secrets.pepper):
            if not is_usable(key, now):
                raise InvalidCredentials(reason="expired" if key.revoked_at is None else "revoked")
            if key.allowed_ips and not allows_ip(key, address):
                raise InvalidCredentials(reason="address_not_allowed")
            return key
        self.counts["credentials_refused"] += 1
        if throttled:
            self._failures.admit(address or "", now)
        raise InvalidCredentials("no such key")

    # Revoking and introspecting.

    async def revoke(self, token: str, now: int, *, client_id: str | None = None) -> None:
        """Revoke a token: an access token alone, or with a refresh token its whole grant (RFC 7009).

        A token that is none of ours, or dead already, is no error (§2.2).

        Raises:
            InvalidGrant: where the token belongs to another client; StorageUnavailable: where nothing was kept.
        """
        try:
            claims = self._own_verifier.verify(token.encode(), now)
        except InvalidToken:
            await self._revoke_refresh_token(token, now, client_id)
            return
        if client_id is not None and claims.client_id != client_id:
            raise InvalidGrant("unknown", "the token belongs to another client")

        self._revoked(await self.ledger.run(lambda store: revoke_token(store, claims, now, actor="client")), now)

    async def _revoke_refresh_token(self, token: str, now: int, client_id: str | None) -> None:
        try:
            opened = self._open_refresh_token(token, now)
            grant = await self._genuine_grant(opened)
        except InvalidGrant:
            return
        if client_id is not None and grant.key_id != client_id:
            raise InvalidGrant("unknown", "the token belongs to another client")
        self._revoked(
            await self.ledger.run(
                lambda store: revoke_grant(store, grant, now, self._policy, actor="client", token=True)
            ),
            now,
        )

    async def introspect(self, token: str, caller: ApiKey, now: int) -> dict[str, object]:
        """What is known of a token (RFC 7662 §2.2); `{"active": false}` for every token that does not count.

        Raises:
            InsufficientScope: where the caller's key has not the scope for it.
        """
        if INTROSPECT_SCOPE not in caller.scope.split():
            raise InsufficientScope(INTROSPECT_SCOPE)
        try:
            self._require_fresh(now)
            claims = self._own_verifier.verify(token.encode(), now)
        except InvalidToken:
            return await self._introspect_refresh_token(token, now)
        return {"active": True, "token_type": "Bearer", **claims._asdict()}

    async def _introspect_refresh_token(self, token: str, now: int) -> dict[str, object]:
        try:
            opened = self._open_refresh_token(token, now)
            grant = await self._genuine_grant(opened)
        except InvalidGrant:
            return {"active": False}
        key = await self.ledger.key(grant.key_id)
        if key is None:
            return {"active": False}
        policy = self._policy.with_retry_window(key.retry_window)
        decision = decide_refresh(grant, opened.generation, now, policy, key_usable=is_usable(key, now))
        if not isinstance(decision, Rotate | Burst | Retry):
            return {"active": False}
        return {
            "active": True,
            "iss": self.url,
            "sub": key.subject,
            "client_id": key.key_id,
            "scope": key.scope if grant.scope is None else grant.scope,
            "sid": grant.grant_id.hex(),
            "env": key.environment,
            "iat": grant.created_at // SECOND,
            "exp": grant.idle_expires_at // SECOND,
        }

    # What the outside sees of the signing keys.

    def jwks(self, now: int) -> list[Jwk]:
        """The public keys, those published ahead included."""
        return self._signing_keys.jwks(now)

    # Keeping up.

    async def readiness(self, now: int) -> dict[str, str]:
        """Each named check with `ok` or what is wrong."""
        checks = {"database": "ok", "migrations": "ok", "signing_key": "ok", "revocations": "ok"}
        try:
            if pending := await self.ledger.read(lambda store: store.pending_migrations()):
                checks["migrations"] = f"{len(pending)} pending"
        except ConfigurationError:
            pass  # a newer program has migrated: this one runs on until it is replaced, and would not start again
        except StorageUnavailable:
            checks["database"] = "unavailable"
        try:
            self._signing_keys.pair(now)
        except ConfigurationError:
            checks["signing_key"] = "none signs"
        if now - self._observed_at > self._staleness:
            checks["revocations"] = "stale"
        return checks

    async def prune(self, after: GrantRef, now: int) -> GrantRef | None:
        """Delete what says nothing any more among the next grants; returns where to go on, None at the end."""

        def work(store: Store) -> tuple[GrantRef | None, int]:
            page = store.expiries_page(after, PRUNE_PAGE)
            over = [row.ref for row in page if is_prunable(row.idle_expires_at, row.expires_at, row.revoked_at, now)]
            store.delete_grants(over)
            return page[-1].ref if len(page) == PRUNE_PAGE else None, len(over)

        last, pruned = await self.ledger.run(work)
        self.counts["grants_pruned"] += pruned
        if last is None:
            await self.ledger.run(lambda store: store.prune_revocations(now))
            self.revocations.prune(now)
            self.ledger.recount()
        return last

    async def observe(self, now: int) -> None:
        """Take in what other processes changed. Called several times a second.

        Raises:
            StorageUnavailable: where it could not be looked up; verifying goes on until the staleness budget is spent.
        """
        control = await self.ledger.observe()
        if control.last_revocation > self.feed.last:
            await self.feed.look_up(now, given=control.last_revocation)
        if control.version != self._version:
            stored = await self.ledger.read(lambda store: store.signing_keys())
            self._signing_keys = SigningKeys(stored, self._master, self._policy, known=self._signing_keys)
            self._version = control.version
        self._verifier.keys = self._own_verifier.keys = self._signing_keys.verification_keys(now)
        self._observed_at = now

    # Helpers.

    def _signing_pair(self, now: int) -> SigningKeyPair:
        return self._signing_keys.pair(now)

    def _require_fresh(self, now: int) -> None:
        if now - self._observed_at > self._staleness:
            raise Unavailable("revocations have not been looked up for too long")

    def _pair(self, grant: Grant, key: ApiKey, scope: str, lifetime: int, now: int) -> TokenPair:
        second = now // SECOND
        access_token = self._signing_keys.pair(now).mint(
            AccessClaims(
                self.url,
                key.subject,
                key.audience or self._audience,
                second + lifetime,
                second,
                encode_segment(self._entropy.draw(JTI_BYTES)).decode(),
                key.key_id,
                scope,
                grant.grant_id.hex(),
                key.environment,
            )
        )
        refresh_token = self._refresh_tokens.mint(
            grant.ref,
            grant.seed,
            grant.generation,
            issued_at=second,
            expires_at=grant.idle_expires_at // SECOND,
        )
        return TokenPair(access_token, refresh_token, lifetime, scope)

    def _lifetime(self, wish: Wish, key: ApiKey, now: int) -> int:
        """Seconds that an access token made now lives: a wish shortens it, and so does the end of its key."""
        lifetime = self._policy.access_token_lifetime // SECOND
        if wish.expires_in is not None:
            if wish.expires_in < 1:
                raise InvalidRequest("a lifetime is at least a second", name="expiresIn")
            lifetime = min(lifetime, wish.expires_in)
        if key.expires_at is not None:
            lifetime = max(1, min(lifetime, (key.expires_at - now) // SECOND))
        return lifetime

    def _open_refresh_token(self, token: str, now: int) -> OpenedRefreshToken:
        if not token.isascii():
            raise InvalidGrant("malformed")
        return self._refresh_tokens.open(token.encode(), now // SECOND)

    async def _genuine_grant(self, opened: OpenedRefreshToken) -> Grant:
        grant = (await self.ledger.read(lambda store: store.grants([opened.ref]))).get(opened.ref)
        if grant is None or generation_tag(grant.seed, opened.generation) != opened.tag:
            raise InvalidGrant("unknown")
        return grant

    async def _require_refreshable(self, opened: OpenedRefreshToken, wish: Wish, client_id: str | None) -> None:
        """Refuse what is refused whatever the grant's state, before anything is rotated or burnt."""
        if wish.expires_in is not None and wish.expires_in < 1:
            raise InvalidRequest("a lifetime is at least a second", name="expiresIn")
        grant = await self._genuine_grant(opened)
        if client_id is not None and client_id != grant.key_id:
            raise InvalidGrant("unknown", "the grant belongs to another client")
        key = await self.ledger.key(grant.key_id)
        if key is not None:
            _narrowed(key.scope if grant.scope is None else grant.scope, wish.scope)

    def _revoked(self, revocation: Revocation | None, now: int) -> None:
        if revocation is not None:
            self.revocations.add(revocation)
            self.feed.hurry(now)


def _narrowed(owned: str, requested: str | None) -> str:
    if requested is None:
        return owned
    scope = narrow_scope(owned, requested)
    if scope is None:
        raise InvalidScope("a requested scope is unknown or not owned")
    return scope
