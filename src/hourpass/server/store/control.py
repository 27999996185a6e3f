"""The row that every process polls: it tells that keys changed."""

from abc import abstractmethod
from typing import Any, NamedTuple

from hourpass.server.store.connection import DatabaseConnection


class Control(NamedTuple):
    """What every process polls.

    `version` changes with every change to API keys, signing keys and secrets. `last_revocation` is the number of the
    newest entry in the revocation list, `last_audit` that of the newest line of the audit trail.
    """

    version: int
    last_revocation: int
    last_audit: int


class ControlStore(DatabaseConnection):
    """What is asked about that row."""

    def control(self) -> Control:
        """What every process polls."""
        return Control._make(self._rows("control")[0])

    @abstractmethod
    def look(self) -> Control:
        """What every process polls, several times a second. It is one statement outside of any transaction."""

    def prove_writable(self) -> None:
        """Write without changing anything.

        Raises:
            StorageUnavailable: if nothing can be written.
        """
        self._rows("prove_writable")

    def _change_keys(self, name: str, *parameters: Any) -> bool:
        """Change API keys, signing keys or secrets, and tell the other processes. False if no row was changed."""
        changed = self._run(name, *parameters) > 0
        if changed:
            self._run("bump_control")
        return changed
