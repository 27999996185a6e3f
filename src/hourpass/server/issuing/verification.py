"""How one process verifies access tokens: by its keys and the revocations, and by how fresh both are.

Other processes may change keys and revocations. `observe` must be called several times a second to learn of it.
"""

from hourpass.core.claims import Claims, Expected
from hourpass.core.errors import InvalidToken, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import Jwk, SigningKeyPair
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.issuing.feed import FeedAnswer, RevocationFeed
from hourpass.server.issuing.together import Together
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store
from hourpass.verifier.token_verifier import TokenVerifier


class Verification:
    """Verifies this issuer's access tokens by what was observed last.

    `is_behind` says that looking has failed for too long: this node may use secrets that were retired, so it issues
    nothing. `time` measures how old the last look is. `numbered_since` is when the numbering of revocations began
    without a break, in epoch milliseconds. All nodes on one database must agree on it. By default it is `now`, the
    start.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        signing_keys: SigningKeys,
        secrets: Secrets,
        now: int,
        *,
        time: Timekeeper,
        numbered_since: int | None = None,
    ) -> None:
        self._policy = settings.policy()
        self._ledger = ledger
        self._secrets = secrets
        self._staleness = settings.revocation_staleness * SECOND
        self._timer = time.timer
        self._stalls = time.stalls
        self._observed_at = self._timer()
        self._observed_stalls = 0
        self._version = -1
        self.is_behind = False
        self.signing_keys = signing_keys
        self._revocations = Revocations()
        url = settings.public_url()
        self._feed = RevocationFeed(
            lambda after, now: ledger.read(lambda store: store.revocations_after(after, now)),
            self.signing_pair,
            self._revocations,
            issuer=url,
            epoch=(now if numbered_since is None else numbered_since) // SECOND,
            catch_up=Together(self.observe),
        )
        expected = Expected(url, None, self._policy.access_token_lifetime)
        self._tokens = TokenVerifier(expected, signing_keys.verification_keys(now), self._revocations)

    def verify(self, token: bytes, now: int) -> Claims:
        """Verify an access token and its revocation. `core.requirement` judges afterwards what the token may do.

        Raises:
            InvalidToken: if the token is not accepted.
        """
        return self._tokens.verify(token, now)

    def verify_as_stored(self, store: Store, token: bytes, now: int) -> Claims:
        """The same, also by the revocations that are stored and not taken in yet. For any thread, in a transaction.

        Raises:
            InvalidToken: if the token is not accepted.
        """
        taken_in = self._feed.last  # read first: what is taken in meanwhile is only asked twice
        claims = self.verify(token, now)
        if Revocations(store.revocations_after(taken_in, now)).refuses(claims):
            raise InvalidToken("revoked")
        return claims

    def require_fresh(self) -> None:
        """Require that revocations were looked up recently.

        Raises:
            Unavailable: if they were not.
        """
        if self._is_stale():
            raise Unavailable("revocations have not been looked up for too long")

    def _is_stale(self) -> bool:
        now = self._timer()
        if now - self._observed_at > self._staleness:
            return True
        # After this process stood still, revocations are looked up before any token is accepted.
        return self._stalls is not None and self._stalls.noticed(now) != self._observed_stalls

    def revoked(self, revocation: Revocation | None, now: int) -> None:
        """Take in a revocation that this process has just committed, if there is one."""
        if revocation is not None:
            self._revocations.add(revocation)
            self._feed.hurry(now)

    def signing_pair(self, now: int) -> SigningKeyPair:
        """The key pair that signs now (epoch milliseconds). Raises Unavailable if none does."""
        return self.signing_keys.pair(now)

    def jwks(self, now: int) -> list[Jwk]:
        """The public keys, including those that are published and do not sign yet."""
        return self.signing_keys.jwks(now)

    async def observe(self, now: int) -> None:
        """Take in what other processes changed. Called several times a second.

        Raises:
            StorageUnavailable: if the database cannot be read. Work goes on until the last look is too old.
            ConfigurationError: if a new key or secret does not open. What is gone is forgotten nevertheless.
        """
        try:
            await self._observe(now)
        except Exception:
            self.is_behind = self._is_stale() or not self._secrets.is_whole
            raise
        self.is_behind = False

    async def _observe(self, now: int) -> None:
        asked_at, stalls = self._timer(), self._stalls.count if self._stalls else 0
        control = await self._ledger.observe()
        if control.last_revocation > self._feed.last:
            await self._feed.look_up(now, given=control.last_revocation)
        if control.version != self._version:
            stored, sealed = await self._ledger.read(lambda store: (store.signing_keys(), store.sealed_secrets()))
            self.signing_keys = SigningKeys(stored, self._secrets.master, self._policy, known=self.signing_keys)
            self._tokens.keys = self.signing_keys.verification_keys(now)
            self._secrets.learn(sealed, now)
            if self.signing_keys.trouble:
                raise self.signing_keys.trouble
            self._version = control.version
        self._secrets.turn(now)
        self._tokens.keys = self.signing_keys.verification_keys(now)
        self._observed_at, self._observed_stalls = asked_at, stalls

    async def answer(self, query: bytes, now: int) -> FeedAnswer:
        """An answer of the revocation feed. Raises what `RevocationFeed.answer` raises."""
        return await self._feed.answer(query, now)

    def close(self) -> None:
        """Answer all waiting polls, and let no poll wait from now on."""
        self._feed.close()

    def prune(self, now: int) -> None:
        """Forget revocations whose tokens have all expired."""
        self._revocations.prune(now)

    @property
    def age(self) -> int:
        """How many milliseconds ago revocations were looked up."""
        return self._timer() - self._observed_at

    @property
    def polls(self) -> int:
        """How many polls of the feed wait for news."""
        return self._feed.waiting

    @property
    def in_force(self) -> int:
        """How many revocations are in force."""
        return len(self._revocations)

    def readiness(self, now: int) -> dict[str, str]:
        """The checks by name, each with `ok` or with what is wrong."""
        checks = {"signing_key": "ok", "revocations": "ok"}
        try:
            self.signing_pair(now)
        except Unavailable:
            checks["signing_key"] = "none signs"
        if self._is_stale():
            checks["revocations"] = "stale"
        return checks
