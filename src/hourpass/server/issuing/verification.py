"""What one process believes of access tokens: its keys, the revocations, and how fresh both are.

Another process may change either; `observe` has to be called every fraction of a second to learn of it.
"""

from hourpass.core.claims import Claims, Expected
from hourpass.core.errors import Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import Jwk, SigningKeyPair
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.issuing.feed import FeedAnswer, RevocationFeed
from hourpass.server.issuing.together import Together
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.settings.settings import Settings
from hourpass.verifier.token_verifier import TokenVerifier


class Verification:
    """Verifies this issuer's access tokens by what was observed last.

    `time` measures how fresh the last look is.
    `numbered_since` is the instant since which revocations are numbered without a break, for nodes on one database to
    agree on; by default the start.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        signing_keys: SigningKeys,
        master: MasterKey,
        now: int,
        *,
        time: Timekeeper,
        numbered_since: int | None = None,
    ) -> None:
        self._policy = settings.policy()
        self._ledger = ledger
        self._master = master
        self._staleness = settings.revocation_staleness * SECOND
        self._timer = time.timer
        self._stalls = time.stalls
        self._observed_at = self._timer()
        self._observed_stalls = 0
        self._version = -1
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
        """Verify an access token on what is known of revocations; how far it reaches is judged in `core.requirement`.

        Raises:
            InvalidToken.
        """
        return self._tokens.verify(token, now)

    def require_fresh(self) -> None:
        """Unavailable if revocations have not been looked up for too long."""
        if self._is_stale():
            raise Unavailable("revocations have not been looked up for too long")

    def _is_stale(self) -> bool:
        now = self._timer()
        if now - self._observed_at > self._staleness:
            return True
        # What was revoked while this process stood still is looked up before anything else is believed.
        return self._stalls is not None and self._stalls.noticed(now) != self._observed_stalls

    def revoked(self, revocation: Revocation | None, now: int) -> None:
        """Take in what this process has revoked just now, if anything."""
        if revocation is not None:
            self._revocations.add(revocation)
            self._feed.hurry(now)

    def signing_pair(self, now: int) -> SigningKeyPair:
        """The key pair that signs now. Raises Unavailable if none does."""
        return self.signing_keys.pair(now)

    def jwks(self, now: int) -> list[Jwk]:
        """The public keys, those published ahead included."""
        return self.signing_keys.jwks(now)

    async def observe(self, now: int) -> None:
        """Take in what other processes changed. Called several times a second.

        Raises:
            StorageUnavailable: where it could not be looked up; verifying goes on until the staleness budget is spent.
        """
        asked_at, stalls = self._timer(), self._stalls.count if self._stalls else 0
        control = await self._ledger.observe()
        if control.last_revocation > self._feed.last:
            await self._feed.look_up(now, given=control.last_revocation)
        if control.version != self._version:
            stored = await self._ledger.read(lambda store: store.signing_keys())
            self.signing_keys = SigningKeys(stored, self._master, self._policy, known=self.signing_keys)
            self._version = control.version
        self._tokens.keys = self.signing_keys.verification_keys(now)
        self._observed_at, self._observed_stalls = asked_at, stalls

    async def answer(self, query: bytes, now: int) -> FeedAnswer:
        """An answer of the revocation feed. Raises as `RevocationFeed.answer` does."""
        return await self._feed.answer(query, now)

    def close(self) -> None:
        """Answer all who wait for news; from now on nobody waits."""
        self._feed.close()

    def prune(self, now: int) -> None:
        """Forget revocations that refuse nothing any more."""
        self._revocations.prune(now)

    @property
    def in_force(self) -> int:
        """How many revocations refuse something."""
        return len(self._revocations)

    def readiness(self, now: int) -> dict[str, str]:
        """Each named check with `ok` or what is wrong."""
        checks = {"signing_key": "ok", "revocations": "ok"}
        try:
            self.signing_pair(now)
        except Unavailable:
            checks["signing_key"] = "none signs"
        if self._is_stale():
            checks["revocations"] = "stale"
        return checks
