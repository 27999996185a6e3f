"""Reports of leaked keys from GitHub's secret scanning: proven by a signature, and acted on once for each key.

The protocol is that of GitHub's secret scanning partner programme. A report may come again at any time: a key that was
reported before changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from hourpass.core import key_events
from hourpass.core.actor import Actor
from hourpass.core.api_key import keys_in, why_unusable
from hourpass.core.caller import bucket
from hourpass.core.errors import InvalidCredentials
from hourpass.core.revocation import Revocation
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.issuing.verification import Verification
from hourpass.server.keys.api_keys import identify_key, revoke_key
from hourpass.server.keys.github_keys import GithubKeys
from hourpass.server.keys.leaks import MAY_COME_BACK
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store
from hourpass.server.telemetry.counts import Counts
from hourpass.wire.reading import read_leak_report
from hourpass.wire.shapes import LeakFinding

MAX_URL = 500

log = logging.getLogger("hourpass")

_Done = tuple[key_events.KeyLeaked, Revocation | None]


class LeakReports:
    """Takes GitHub's reports, if the settings say so. `timer` is milliseconds that nobody can set.

    Raises:
        ConfigurationError: if GitHub's public keys cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        secrets: Secrets,
        verification: Verification,
        timer: Callable[[], int],
        counts: Counts,
    ) -> None:
        self._counts = counts
        self._ends = settings.github_leaks == "revoke"
        self._keys = GithubKeys(Path(settings.github_leak_keys)) if settings.github_leak_keys else None
        self._policy = settings.policy()
        self._ledger = ledger
        self._secrets = secrets
        self._verification = verification
        self._timer = timer
        self._throttle = Throttle(settings.exchange_limit)

    async def take(self, body: bytes, identifier: str, signature: str, address: str | None, now: int) -> None:
        """Take a report. Every key of ours in it that is good, or disabled, is told of, and ended if that is set.

        Raises:
            Throttled: if too many reports come from this address.
            InvalidCredentials: if GitHub did not sign the report.
            InvalidRequest: if it is not a report.
            StorageUnavailable: if nothing was kept.
        """
        self._throttle.admit(bucket(address), self._timer())
        if not await self._is_githubs(body, identifier, signature):
            raise InvalidCredentials("the report has no signature of GitHub's")
        findings = read_leak_report(body)
        by = Actor("github", address)
        done = await self._ledger.run(lambda store: self._settle(store, findings, by, now))
        self._counts.add("leak", len(done))
        for event, revocation in done:
            facts = {"key_id": event.key_id, "url": event.url, "revoked": revocation is not None}
            log.warning("an API key has leaked", extra=facts)
            self._verification.revoked(revocation, now)
        if done:
            await self._verification.observe(now)

    async def _is_githubs(self, body: bytes, identifier: str, signature: str) -> bool:
        if self._keys is None or not identifier or not signature:
            return False
        if not self._keys.knows(identifier):
            await asyncio.to_thread(self._keys.reread)
        return self._keys.verify(identifier, signature, body)

    def _settle(self, store: Store, findings: Sequence[LeakFinding], by: Actor, now: int) -> list[_Done]:
        done: list[_Done] = []
        for finding in findings:
            found = identify_key(store, self._secrets, finding.token)
            if found is None:
                continue
            key, secret = found
            if why_unusable(key, now, secret) not in MAY_COME_BACK:
                continue
            event = key_events.KeyLeaked(key.key_id, "github", _shown(finding.url or ""), by)
            new = store.note_leak(secret.digest, key.key_id, now)
            if new:
                store.append_audit(now, [event])
            revocation = None
            if self._ends:
                # Also if it was told of before: it may have been while the setting was `notify`.
                revocation = revoke_key(store, key.key_id, now, self._policy, by, why="leaked")
            if new or revocation is not None:
                done.append((event, revocation))
        return done


def _shown(url: str) -> str:
    """The place, if it is one that can be kept: an address may hold the key itself."""
    return url if len(url) <= MAX_URL and url.isprintable() and not keys_in(url) else ""
