"""Proves API keys: it finds out which key, and which of its secrets, a text is.

A key of our own is found by the id in it, an imported one by its digest. Wrong keys are limited for each address. The
use case that asked decides what the proven key may do.
"""

from collections.abc import Callable

from hourpass.core.api_key import (
    ApiKey,
    KeySecret,
    Proven,
    UseKind,
    allows_ip,
    is_well_formed,
    secret_of,
    unverified_key_id,
    why_unusable,
)
from hourpass.core.caller import bucket
from hourpass.core.errors import InvalidCredentials, Throttled
from hourpass.core.key_hash import may_be_imported
from hourpass.server.issuing.secret_use import SecretUse
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.keys.key_hashes import hashes_in_use
from hourpass.server.keys.signing_keys import Secrets
from hourpass.server.ledger.key_lookup import KeyLookUp
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.ledger.remembered import Keys
from hourpass.server.store import Store
from hourpass.server.telemetry.counts import Counts
from hourpass.server.telemetry.wrong_keys import WrongKeys

Used = Callable[[ApiKey, KeySecret, UseKind | None, str | None, int], None]
"""Called for each proof, with the key, the secret that was sent, the kind of use, the address and the instant."""


def _nothing(key: ApiKey, secret: KeySecret, kind: UseKind | None, address: str | None, now: int) -> None:
    """Nobody keeps uses."""


class Authentication:
    """Proves keys on one ledger. `timer` returns milliseconds that nobody can set, and measures limits."""

    def __init__(
        self,
        ledger: Ledger,
        secrets: Secrets,
        limit: int,
        counts: Counts,
        timer: Callable[[], int],
        used: Used = _nothing,
    ) -> None:
        self._ledger = ledger
        self._pepper = secrets.pepper
        self._master = secrets.master
        self._counts = counts
        self._timer = timer
        self.used = used
        self.uses = SecretUse(ledger)
        self._failures = Throttle(limit)
        self.wrong_keys = WrongKeys(timer)
        self._imported = KeyLookUp[Proven](ledger.read, self._find)

    async def prove(
        self, text: str, address: str | None, now: int, *, kind: UseKind | None = None, throttled: bool = False
    ) -> Proven:
        """Prove an API key.

        Wrong keys are counted for each address. With `throttled`, an address that sends too many of them is told so. A
        good key is never refused because of wrong ones: many clients may share an address.

        Raises:
            InvalidCredentials: if the key is not accepted. It has a reason only if the key is genuine.
            Throttled: if too many wrong keys came from this address.
            StorageUnavailable: if the key cannot be looked up.
        """
        proven = await self.identify(text, address, throttled=throttled)
        key, secret = proven
        if trouble := why_unusable(key, now, secret):
            if trouble == "rotated":
                await self.uses.ended(key.key_id, secret, address, now)
            raise InvalidCredentials(reason=trouble)
        if key.allowed_ips and not allows_ip(key, address):
            raise InvalidCredentials(reason="address_not_allowed")
        self.used(key, secret, kind, address, now)
        return proven

    async def identify(self, text: str, address: str | None, *, throttled: bool = False) -> Proven:
        """Which key, and which of its secrets, a text is, whether or not it is still accepted.

        Raises:
            InvalidCredentials: if it is nobody's; Throttled; StorageUnavailable.
        """
        key_id = unverified_key_id(text)
        key = self._ledger.cached_key(key_id)
        if key is None and is_well_formed(text):
            key = await self._ledger.key(key_id)
        secret = None if key is None else secret_of(text, key, self._pepper)
        if key is not None and secret is None and is_well_formed(text):
            # What is remembered may be older than the secret, which was made a moment ago.
            key = await self._ledger.fresh_key(key_id)
            secret = None if key is None else secret_of(text, key, self._pepper)
        if key is None or secret is None:
            return await self._prove_imported(text, address, throttled=throttled)
        return Proven(key, secret)

    async def _prove_imported(self, text: str, address: str | None, *, throttled: bool) -> Proven:
        proven = None
        if may_be_imported(text):
            keys = self._ledger.keys
            proven = self._remembered(keys, text)
            if proven is None and (keys.hashes is None or any(keys.hashes)):
                proven = await self._imported.key(text)
        if proven is None:
            self._refuse(address, throttled=throttled)
            raise InvalidCredentials("no such key")
        return proven

    def _remembered(self, keys: Keys, text: str) -> Proven | None:
        for digest in keys.hashes.digests(self._pepper, text) if keys.hashes else ():
            key = keys.get(digest)
            if key is not None:
                return _proof(key, digest)
        return None

    def _find(self, store: Store, texts: list[str]) -> list[Proven | None]:
        """Imported keys, by their digests. Only found keys are remembered, because there is no end of wrong ones."""
        keys = self._ledger.keys
        if keys.hashes is None:
            keys.hashes = hashes_in_use(store, self._master)
        return [self._remembered(keys, text) or self._read(store, keys, text) for text in texts]

    def _read(self, store: Store, keys: Keys, text: str) -> Proven | None:
        for digest in keys.hashes.digests(self._pepper, text) if keys.hashes else ():
            key_id = store.key_of_digest(digest)
            key = None if key_id is None else keys.read(store, key_id)
            if key is not None:
                keys.remember(digest, key)
                return _proof(key, digest)
        return None

    def _refuse(self, address: str | None, *, throttled: bool) -> None:
        self._counts["credentials_refused"] += 1
        self.wrong_keys.note(address)
        try:
            self._failures.admit(bucket(address), self._timer())
        except Throttled:
            if throttled:
                raise


def _proof(key: ApiKey, digest: bytes) -> Proven | None:
    """The proof. None if the secret was taken from its key during the look-up: it proves nothing any more."""
    return next((Proven(key, secret) for secret in key.secrets if secret.digest == digest), None)
