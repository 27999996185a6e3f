"""The use cases: exchange a key, refresh a token, authenticate a caller.

Each one gets the time as an argument. `core` decides what may happen. A caller is answered only after it is durable.
"""

from collections.abc import Callable

from hourpass.core.address import pack_address
from hourpass.core.admin_access import admin_audience
from hourpass.core.api_key import ApiKey, Proven, UseKind, opened_at
from hourpass.core.authorization import Basic, RawKey, reader
from hourpass.core.claims import Claims
from hourpass.core.errors import (
    ConfigurationError,
    InvalidCredentials,
    InvalidGrant,
    InvalidTarget,
    InvalidToken,
    RefusalReason,
    Unavailable,
)
from hourpass.core.grant import (
    GRANT_ID_ENTROPY,
    SEED_BYTES,
    Ahead,
    Burst,
    Dead,
    Grant,
    Retry,
    Rotate,
    is_genuine,
    new_grant_id,
    open_grant,
)
from hourpass.core.key_rotation import may_be_pending
from hourpass.core.policy import SECOND
from hourpass.core.requirement import Address, Requirement, judge_key, judge_proven, judge_token, require_raw_use
from hourpass.core.token_request import PLAIN_REQUEST, TokenRequest
from hourpass.jose import OpenedRefreshToken, RefreshTokens, UnknownSecret, unverified_audience
from hourpass.server.issuing.audit_chaining import AuditChaining
from hourpass.server.issuing.authentication import Authentication
from hourpass.server.issuing.client_revocations import ClientRevocations
from hourpass.server.issuing.leak_reports import LeakReports
from hourpass.server.issuing.minting import Entropy, Mint, TokenPair
from hourpass.server.issuing.pruning import Pruning
from hourpass.server.issuing.replay_log import ReplayLog
from hourpass.server.issuing.storage_checks import StorageChecks
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.issuing.together import Together
from hourpass.server.issuing.verification import Verification
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.ledger.asking import Refreshed, Refreshing
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.settings.settings import Settings
from hourpass.server.telemetry.counts import CELL, Counts
from hourpass.server.telemetry.metrics import GRANTED, REFUSED

_EXCHANGES = CELL["exchange"]
_GRANTED = {decision: CELL[name] for decision, name in GRANTED.items()}

BEHIND = "what other processes changed has not been learned for too long"
"""This node may still use keys and secrets that were retired. The caller is not at fault."""


class Issuer:
    """The use cases on one ledger. `verification` verifies access tokens for this process.

    `timer` returns the milliseconds of a clock that nobody can set. Limits are measured by it. `now` is always epoch
    milliseconds, and `address` is the caller's, None if it is not known.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        secrets: Secrets,
        verification: Verification,
        counts: Counts,
        timer: Callable[[], int],
    ) -> None:
        self.url = settings.public_url()
        self.policy = settings.policy()
        self.ledger = ledger
        self.secrets = secrets
        self.verification = verification
        self.counts = counts
        self._cells = counts.cells  # not through `counts` where each request pays for the call
        self.audience = settings.audience or self.url
        pairs = (each.partition("=") for each in settings.claim_headers)
        self.claim_headers = tuple((claim, header) for claim, _, header in pairs)
        self._token_allow_lists = settings.token_allow_lists
        self.key_sources = settings.key_sources()
        self.read_credential = reader(self.key_sources)
        self._timer = timer
        self.rotation_overlap = settings.rotation_overlap * SECOND
        self.key_prefix = settings.key_prefix
        self._exchanges = Throttle(settings.exchange_limit)
        self._looks = Together(self._observe)
        self.authentication = Authentication(ledger, secrets, settings.exchange_limit, counts, timer, self._looks)
        self.last_uses = self.authentication.last_uses
        self.leak_reports = LeakReports(settings, ledger, secrets, verification, timer, counts)
        self.client_revocations = ClientRevocations(ledger, verification, self.policy, settings.exchange_limit, timer)
        self.pruning = Pruning(ledger, verification, self.client_revocations, counts)
        self._refresh_tokens = secrets.refresh_tokens(self.url)
        self._admin_refresh_tokens = secrets.admin_refresh_tokens(self.url)
        self.admin_audience = admin_audience(self.url)
        self.storage_checks = StorageChecks(ledger)
        self.audit_chaining = AuditChaining(ledger, secrets, timer)
        self.replay_log = ReplayLog()
        self._entropy = Entropy()
        self._mint = Mint(self.url, self.audience, self.policy, self._refresh_tokens, self._admin_refresh_tokens)

    async def exchange(
        self, api_key: str, request: TokenRequest, address: str | None, now: int, *, admin: bool = False
    ) -> TokenPair:
        """Exchange an API key for its first pair: an admin key if `admin` is true, and every other key if it is not.

        Raises:
            InvalidCredentials: if the key is not accepted.
            Throttled: if the key is used too often, or too many wrong keys came from this address.
            InvalidScope, InvalidRequest, InvalidTarget: if the request goes beyond the key.
            StorageUnavailable: if nothing was kept.
            Unavailable: if this node has not learned of changes for too long.
        """
        if self.verification.is_behind:
            raise Unavailable(BEHIND)
        proven = await self.authentication.prove(api_key, address, now, kind="exchanged", throttled=True, admin=admin)
        return await self.open(proven, request, address, now)

    async def open(self, proven: Proven, request: TokenRequest, address: str | None, now: int) -> TokenPair:
        """Open a grant for a key that is proven, and return its first pair. Raises what `exchange` raises."""
        key = proven.key
        self._exchanges.admit(key.key_id, self._timer())
        scope = None if request.scope is None else request.narrowed(key.scope)
        request.require_lifetime()
        if request.audience is not None:
            request.audience_of(key.audiences(self._mint.default_audience(key)))
        opened = now if key.valid_from is None else opened_at(key, now)
        entropy = self._entropy.draw(GRANT_ID_ENTROPY + SEED_BYTES)
        grant = open_grant(
            grant_id=new_grant_id(opened, entropy[:GRANT_ID_ENTROPY], key.key_id),
            seed=entropy[GRANT_ID_ENTROPY:],
            key_id=key.key_id,
            scope=scope,
            now=opened,
            policy=self.policy,
            opened_from=pack_address(address),
            audience=request.audience,
        )
        closed, pair = await self.ledger.open(
            grant, now, lambda opened: (opened.closed, self._pair(grant, opened.key, request, now)), proven
        )
        # Last: only a good answer is a first use, and it is noted before the client has the answer.
        if may_be_pending(proven.secret):
            await self.answers(proven, now)
        self._cells[_EXCHANGES] += 1
        if closed:
            self.counts.add("grants_closed", closed)
        return pair

    async def refresh(
        self,
        token: str,
        request: TokenRequest,
        address: str | None,
        now: int,
        *,
        client_id: str | None = None,
        admin: bool = False,
    ) -> TokenPair:
        """Refresh. If the client names itself by `client_id`, the grant must belong to it (RFC 6749 §6).

        With `admin`, only the grants of admin keys are refreshed, and without it only all others.

        Raises:
            InvalidGrant: if the refresh token is not accepted, with the reason.
            InvalidScope, InvalidRequest, InvalidTarget: if the request goes beyond the grant.
            StorageUnavailable: if nothing was kept.
            Unavailable: if this node has not learned of changes for too long.
        """
        if self.verification.is_behind:
            raise Unavailable(BEHIND)
        tokens = self._admin_refresh_tokens if admin else self._refresh_tokens
        try:
            try:
                opened = self._open_refresh_token(tokens, token, now)
            except UnknownSecret:
                opened = await self._open_after_a_look(tokens, token, now)
            if client_id is not None or request != PLAIN_REQUEST:
                await self._require_refreshable(opened, request, client_id)
            answer, pair = await self.ledger.refresh(
                Refreshing(opened.ref, opened.generation, opened.tag, address, now, admin),
                lambda answer: (answer, self._refreshed(answer, request, now)),
            )
        except InvalidGrant as error:
            self.counts.add(REFUSED[error.reason])
            raise
        outcome = answer.decision
        if pair is not None:
            self._cells[_GRANTED[type(outcome)]] += 1
            self.last_uses.seen["refreshed"][opened.ref.key_id] = now, address
            if isinstance(outcome, Retry) and outcome.elsewhere:
                self.counts.add("retry_from_elsewhere")
            return pair
        self.verification.revoked(answer.revocation, now)
        if answer.revocation is not None:
            self.replay_log.tell(opened.ref, address, now)
        reason: RefusalReason = outcome.reason if isinstance(outcome, Dead) else "replayed"
        if isinstance(outcome, Ahead):
            reason = "ahead"
        # The caller reads why the grant ended, but a replay is counted once: when it ends the grant.
        late = reason == "replayed" and answer.revocation is None
        self.counts.add(REFUSED["revoked" if late else reason])
        if reason == "invalid_target":
            raise InvalidTarget("the key has lost the audience that the grant is for")
        raise InvalidGrant(reason)

    def _refreshed(self, answer: Refreshed, request: TokenRequest, now: int) -> TokenPair | None:
        """The pair for a decision that grants one, else None."""
        decision = answer.decision
        if isinstance(decision, (Rotate, Burst, Retry)) and answer.key is not None:
            return self._pair(decision.grant, answer.key, request, now)
        return None

    def _pair(self, grant: Grant, key: ApiKey, request: TokenRequest, now: int) -> TokenPair:
        return self._mint.pair(grant, key, request, self.verification.signing_pair(now), now)

    def verify_token_at_once(self, token: bytes, needed: Requirement, address: Address, now: int) -> Claims | None:
        """Verify and judge an access token without waiting. None if its key must be looked up first.

        Raises:
            InvalidToken, InsufficientScope: if the token is not accepted.
            Unavailable: if revocations were not looked up for too long.
        """
        self.verification.require_fresh()
        claims = self.verification.verify(token, now)
        key = self.ledger.cached_key(claims.client_id) if self._token_allow_lists else None
        if key is None and self._token_allow_lists:
            return None
        # Not through `judge_token`: each request to a protected API pays for every call here.
        judge_proven(needed, claims.aud, claims.env, claims.scope, key.allowed_ips if key else (), address)
        return claims

    async def verify_token(self, token: bytes, needed: Requirement, address: Address, now: int) -> Claims:
        """Verify and judge an access token. Its key is looked up if it is not remembered.

        Raises:
            InvalidToken, InsufficientScope, Unavailable: as `verify_token_at_once`.
            StorageUnavailable: if the key cannot be looked up.
        """
        self.verification.require_fresh()
        claims = self.verification.verify(token, now)
        key = await self.ledger.key(claims.client_id)
        if key is None:
            raise InvalidToken("revoked", "its key is not in the database")
        judge_token(claims, needed, key, address)
        return claims

    async def verify_api_key(self, raw: Basic | RawKey, needed: Requirement, address: Address, now: int) -> ApiKey:
        """Verify an API key that came instead of a token, if the operator's policy accepts it there, and judge it.

        Raises:
            InvalidCredentials, InvalidToken, InsufficientScope: if the key is not accepted.
            StorageUnavailable: if the key cannot be looked up.
        """
        if not self.key_sources.accepts(raw):
            raise InvalidCredentials("API keys are not accepted here")
        self.verification.require_fresh()
        proven = await self.prove(raw.unverified_key, address(), now, kind="raw")
        judge_key(proven.key, self.audience, needed, address)
        try:
            require_raw_use(proven.key, now)
        except InvalidToken:
            await self.authentication.uses.raw_after_end(proven.key, address(), now)
            raise
        await self.answers(proven, now)
        return proven.key

    async def prove(
        self, api_key: str, address: str | None, now: int, *, kind: UseKind | None = None, throttled: bool = False
    ) -> Proven:
        """Prove an API key, as `Authentication.prove` does. A use case that answers well says so to `answers`."""
        if self.verification.is_behind:
            raise Unavailable(BEHIND)
        return await self.authentication.prove(api_key, address, now, kind=kind, throttled=throttled)

    def admit(self, key: ApiKey) -> None:
        """Count an exchange of the key, or what costs as much. Raises Throttled if it is one too many."""
        self._exchanges.admit(key.key_id, self._timer())

    async def answers(self, proven: Proven, now: int) -> None:
        """A proven key gets a good answer, which may be the first use of its secret. Raises as `SecretUse.answers`."""
        await self.authentication.uses.answers(proven, now)

    async def look_up(self, token: str, now: int) -> tuple[OpenedRefreshToken, Grant]:
        """Prove a refresh token, and read its grant as it is now.

        Raises:
            InvalidGrant: if the token is not genuine, or its grant does not exist.
            StorageUnavailable: if the grant cannot be read.
        """
        if self.verification.is_behind:
            raise Unavailable(BEHIND)
        names_admin = unverified_audience(token.encode()) == self._admin_refresh_tokens.audience
        tokens = self._admin_refresh_tokens if names_admin else self._refresh_tokens
        try:
            opened = self._open_refresh_token(tokens, token, now)
        except UnknownSecret:
            opened = await self._open_after_a_look(tokens, token, now)
        return opened, await self._genuine_grant(opened)

    async def readiness(self, now: int) -> dict[str, str]:
        """The checks by name, each with `ok` or with what is wrong."""
        return {**await self.storage_checks(now), **self.verification.readiness(now)}

    def _open_refresh_token(self, tokens: RefreshTokens, token: str, now: int) -> OpenedRefreshToken:
        if not token.isascii():
            raise InvalidGrant("malformed")
        return tokens.open(token.encode(), now // SECOND)

    async def _open_after_a_look(self, tokens: RefreshTokens, token: str, now: int) -> OpenedRefreshToken:
        """Open a token whose secret is not known here. Another node may have made the secret a moment ago."""
        await self._looks(now)
        return self._open_refresh_token(tokens, token, now)

    async def _observe(self, now: int) -> None:
        try:
            await self.verification.observe(now)
        except ConfigurationError as error:
            # If this node cannot open a secret, the caller is not at fault.
            raise Unavailable(error.detail) from error

    async def _genuine_grant(self, opened: OpenedRefreshToken) -> Grant:
        grant = (await self.ledger.read(lambda store: store.grants([opened.ref]))).get(opened.ref)
        if grant is None or not is_genuine(grant, opened.generation, opened.tag):
            raise InvalidGrant("unknown")
        return grant

    async def _require_refreshable(
        self, opened: OpenedRefreshToken, request: TokenRequest, client_id: str | None
    ) -> None:
        """Refuse what no state of the grant could allow, before anything is rotated or burnt."""
        request.require_lifetime()
        grant = await self._genuine_grant(opened)
        if client_id is not None and client_id != grant.key_id:
            raise InvalidGrant("unknown", "the grant belongs to another client")
        key = await self.ledger.key(grant.key_id)
        if key is not None:
            request.narrowed(grant.owned_scope(key.scope))
            request.audience_of(key.audiences(self._mint.default_audience(key)), grant.audience)
