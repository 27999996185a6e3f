"""The server's signing keys and secrets in a database: sealed."""

from typing import NamedTuple

from hourpass.core.signing_key import SigningKey
from hourpass.server.store.control import ControlStore


class StoredSecret(NamedTuple):
    """A secret of the server, sealed. `sealed_by` is the id of the master key that did it, None if it was not noted."""

    name: str
    kid: str
    sealed: bytes
    created_at: int
    sealed_by: str | None = None


class StoredSigningKey(NamedTuple):
    """A signing key with its private half, sealed under the master key of this id, as in `StoredSecret`."""

    key: SigningKey
    sealed: bytes
    sealed_by: str | None = None


class SealedStore(ControlStore):
    """What is asked about signing keys and secrets."""

    def add_secret(self, name: str, kid: str, sealed: bytes, at: int, sealed_by: str | None = None) -> None:
        """Store a sealed secret."""
        self._change_keys("add_secret", name, kid, sealed, at, sealed_by)

    def sealed_secrets(self, name: str | None = None) -> list[StoredSecret]:
        """The sealed secrets of a name, or all, those of a name newest first."""
        return [StoredSecret._make(row) for row in self._rows_named("sealed_secrets", {"name": name})]

    def seal_secret(self, old: StoredSecret, new: StoredSecret) -> bool:
        """Put another sealing of a secret in the place of one. False if that is not there any more."""
        return self._change_keys("seal_secret", new.sealed, new.sealed_by, old.name, old.kid, old.sealed)

    def delete_secret(self, name: str, kid: str) -> None:
        """Forget a secret."""
        self._change_keys("delete_secret", name, kid)

    def add_signing_key(self, stored: StoredSigningKey) -> None:
        """Store a signing key."""
        self._change_keys("add_signing_key", *stored.key, stored.sealed, stored.sealed_by)

    def signing_keys(self) -> list[StoredSigningKey]:
        """All signing keys."""
        rows = self._rows("signing_keys")
        return [StoredSigningKey(SigningKey._make(key), sealed, sealed_by) for *key, sealed, sealed_by in rows]

    def seal_signing_key(self, old: StoredSigningKey, new: StoredSigningKey) -> bool:
        """Put another sealing of a signing key in the place of one. False if that is not there any more."""
        return self._change_keys("seal_signing_key", new.sealed, new.sealed_by, old.key.kid, old.sealed)

    def retire_signing_key(self, kid: str, at: int) -> None:
        """Set the instant at which a successor takes over."""
        self._change_keys("retire_signing_key", at, kid)

    def delete_signing_key(self, kid: str) -> None:
        """Delete a signing key with its private half."""
        self._change_keys("delete_signing_key", kid)
