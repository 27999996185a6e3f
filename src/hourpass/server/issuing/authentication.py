"""Proves API keys: it finds out which key, and which of its secrets, a text is.

A key of our own is found by the id in it, an imported one by its digest, or by how it begins if only a slow hash of it
is known. Wrong keys are limited for each address. The use case that asked decides what the proven key may do.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hourpass.core.api_key import (
    ApiKey,
    Proven,
    UseKind,
    allows_ip,
    is_usable,
    is_well_formed,
    secret_of,
    unverified_key_id,
    why_unusable,
)
from hourpass.core.caller import bucket
from hourpass.core.errors import InvalidCredentials, Throttled
from hourpass.core.key_hash import KeyHashes, may_be_imported
from hourpass.server.issuing.digest_moves import DigestMoves
from hourpass.server.issuing.last_uses import UseKeeper
from hourpass.server.issuing.secret_use import SecretUse
from hourpass.server.issuing.slow_proofs import SlowProofs
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.keys.key_hashes import Candidates, hashes_in_use, slow_candidates
from hourpass.server.keys.server_secrets import DigestMatch, Secrets
from hourpass.server.ledger.key_lookup import KeyLookUp
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.ledger.remembered import Keys
from hourpass.server.store import Store
from hourpass.server.telemetry.counts import Counts
from hourpass.server.telemetry.wrong_keys import WrongKeys

T = TypeVar("T")


class Authentication:
    """Proves keys on one ledger. `timer` returns milliseconds that nobody can set, and measures limits.

    `look_again` takes in what other processes changed, the server's secrets among it.
    """

    def __init__(
        self,
        ledger: Ledger,
        secrets: Secrets,
        limit: int,
        counts: Counts,
        timer: Callable[[], int],
        look_again: Callable[[int], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._look_again = look_again
        self.moves = DigestMoves(ledger)
        self._counts = counts
        self._timer = timer
        self.last_uses = UseKeeper(ledger)
        self.uses = SecretUse(ledger)
        self._failures = Throttle(limit)
        self.wrong_keys = WrongKeys(timer)
        self._imported = KeyLookUp[Proven | Candidates](ledger.read, self._find)
        self._slow = SlowProofs(ledger, secrets)

    async def prove(
        self,
        text: str,
        address: str | None,
        now: int,
        *,
        kind: UseKind | None = None,
        throttled: bool = False,
        admin: bool = False,
    ) -> Proven:
        """Prove an API key: an admin key if `admin` is true, and every other key if it is not.

        Wrong keys are counted for each address. With `throttled`, an address that sends too many of them is told so. A
        good key is never refused because of wrong ones: many clients may share an address.

        Raises:
            InvalidCredentials: if the key is not accepted. It has a reason only if the key is genuine.
            Throttled: if too many wrong keys came from this address.
            StorageUnavailable: if the key cannot be looked up.
            Unavailable: if a slow hash must be checked, and others are checked for too long.
        """
        # Most keys are remembered, and proven without another coroutine.
        remembered = self._ledger.cached_key(unverified_key_id(text))
        known = None if remembered is None else secret_of(text, remembered, self._secrets.peppers[0].secret)
        if remembered is None or known is None:
            proven = await self.identify(text, address, now, throttled=throttled)
        else:
            proven = Proven(remembered, known)
        key, secret = proven
        # The rule is asked for its reason only if there may be one: each exchange pays for a call.
        if (secret.ends_at is not None or not is_usable(key, now)) and (trouble := why_unusable(key, now, secret)):
            await self.uses.after_end(proven, trouble, address, now)
            self._counts.add(f"key_{(trouble == 'revoked' and key.revoked_why) or trouble}")
            raise InvalidCredentials(reason=trouble)
        if (key.admin is not None) is not admin:
            self._counts.add("key_wrong_listener")
            raise InvalidCredentials(reason="wrong_listener")
        if key.allowed_ips and not allows_ip(key, address):
            self._counts.add("key_address_not_allowed")
            raise InvalidCredentials(reason="address_not_allowed")
        if kind is not None:  # a question about a credential, by a client of ours, is not a use
            self.last_uses.seen[kind][key.key_id] = now, address
        return proven

    async def identify(self, text: str, address: str | None, now: int, *, throttled: bool = False) -> Proven:
        """Which key, and which of its secrets, a text is, whether or not it is still accepted.

        Raises:
            InvalidCredentials: if it is nobody's; Throttled; StorageUnavailable, Unavailable.
        """
        key_id = unverified_key_id(text)
        key = self._ledger.cached_key(key_id)
        if key is None and is_well_formed(text):
            key = await self._ledger.key(key_id)
        secret = None if key is None else self._secrets.secret_in(key, text)
        if key is not None and secret is None and is_well_formed(text):
            # What is remembered may be older than the secret, which was made a moment ago.
            key = await self._ledger.fresh_key(key_id)
            if key is not None and not self._secrets.knows_peppers_of(key):
                await self._look_again(now)
            secret = None if key is None else self._secrets.secret_in(key, text)
        if key is None or secret is None:
            return await self._prove_imported(text, address, throttled=throttled)
        if not self._secrets.is_current(secret):
            self.moves.note(key, secret, *self._secrets.new_digest(text))
        return Proven(key, secret)

    async def _prove_imported(self, text: str, address: str | None, *, throttled: bool) -> Proven:
        found = await self._look_for(text) if may_be_imported(text) else None
        if isinstance(found, Candidates):
            found = await self._prove_slowly(text, found.lookup, address, throttled=throttled)
        if found is None:
            self._refuse(address, throttled=throttled)
            raise InvalidCredentials("no such key")
        return found

    async def _look_for(self, text: str) -> Proven | Candidates | None:
        keys = self._ledger.keys
        found = self._remembered(keys, text)
        if found is None and (keys.hashes is None or any(keys.hashes)):
            return await self._imported.key(text)
        return found

    async def _prove_slowly(self, text: str, lookup: str, address: str | None, *, throttled: bool) -> Proven | None:
        try:
            self._failures.require_room(bucket(address), self._timer())
        except Throttled:
            if throttled:
                raise
            return None
        return await self._slow.in_turn([lookup], lambda: self._check(text))

    async def _check(self, text: str) -> Proven | None:
        found = await self._imported.key(text)  # the turn before may have proven the same
        if isinstance(found, Candidates) and await self._slow.prove(text, found):
            found = await self._imported.key(text)
        return None if isinstance(found, Candidates) else found

    async def check_slowly(self, begins: str, caller: str, work: Callable[[], T]) -> T:
        """Check slow hashes of keys that begin like this, for an administrator: one check of each caller at a time.

        Raises:
            Unavailable: if others are checked for too long, or a library is missing.
        """
        return await self._slow.in_turn([begins, caller], lambda: self._slow.in_thread(work))

    def _remembered(self, keys: Keys, text: str) -> Proven | None:
        for match in self._secrets.digests(keys.hashes, text) if keys.hashes else ():
            key = keys.get(match.digest)
            if key is not None:
                return self._proof(key, match)
        return None

    def _find(self, store: Store, texts: list[str]) -> list[Proven | Candidates | None]:
        """Imported keys, by their digests. Only found keys are remembered, because there is no end of wrong ones."""
        keys = self._ledger.keys
        hashes = keys.hashes
        if hashes is None:
            hashes = keys.hashes = hashes_in_use(store, self._secrets.master)
        return [
            self._remembered(keys, text)
            or self._read(store, keys, hashes, text)
            or slow_candidates(store, hashes, text)
            for text in texts
        ]

    def _read(self, store: Store, keys: Keys, hashes: KeyHashes, text: str) -> Proven | None:
        for match in self._secrets.digests(hashes, text):
            key_id = store.key_of_digest(match.digest)
            # Not as it is remembered: that may be from before it had this secret.
            key = None if key_id is None else store.key(key_id)
            if key is not None:
                keys.remember(key.key_id, key)
                keys.remember(match.digest, key)
                return self._proof(key, match)
        return None

    def _proof(self, key: ApiKey, match: DigestMatch) -> Proven | None:
        """The proof. None if the secret was taken from its key during the look-up: it proves nothing any more."""
        secret = next((each for each in key.secrets if each.digest == match.digest), None)
        if secret is None:
            return None
        self.moves.note(key, secret, match.current, match.pepper)
        return Proven(key, secret)

    def _refuse(self, address: str | None, *, throttled: bool) -> None:
        self._counts.add("credentials_refused")
        self.wrong_keys.note(address)
        try:
            self._failures.admit(bucket(address), self._timer())
        except Throttled:
            if throttled:
                raise
