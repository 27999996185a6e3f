"""Rotates the agent's API key on a schedule: asks for the next secret, writes it into the key's file, then has it used.

Killed between any two of these steps, it goes on: the same question has the same answer, the file is replaced whole,
and an agent that starts with a key other than the cached token's exchanges it. The file's own time says when the key
was rotated last, so there is nothing else to keep.
"""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.refresh.token_endpoint import Rotated
from hourpass.client.refresh.transaction import NotAccepted, Transient, Unknown
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import HOUR, MINUTE, SECOND, backoff
from hourpass.secret_file import write_atomically

LOOK_EVERY = MINUTE
"""Somebody else may replace the file. Its new time then says when the key is due."""

EARLY = 0.05
"""The share of the interval by which a rotation may come early, so that many hosts do not ask together."""

FIRST, LONGEST = SECOND, 10 * MINUTE
"""Milliseconds before asking again after a failure."""

REFUSED = HOUR
"""Milliseconds before asking again after the server refused: a person must change something."""

Ask = Callable[[str], Rotated | NotAccepted | Transient | Unknown]


class KeyRotation:
    """A service of the agent. `ask` sends the question, `read` returns the key in the file at `path`.

    `every` and the clock `wall` are milliseconds, `chance` is from 0 to 1.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[], str],
        ask: Ask,
        mailbox: Mailbox,
        every: int,
        *,
        wall: Callable[[], int],
        chance: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self._path = path
        self._read = read
        self._ask = ask
        self._mailbox = mailbox
        self._every = every - int(every * EARLY * chance())
        self._wall = wall
        self._chance = chance
        self._log = log
        self._failures = 0
        self._not_before = 0
        self._written_at: int | None = None
        self._said = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hourpass-key-rotation", daemon=True)

    def __enter__(self) -> Self:
        """Begin, in a thread of its own."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more. A question under way is cut off with the process, which loses nothing."""
        self._stopping.set()
        self._thread.join(SECOND / 1_000)

    def _run(self) -> None:
        while not self._stopping.wait(self.turn() / SECOND):
            pass

    def turn(self) -> int:
        """Rotate if it is due. Returns the milliseconds to wait."""
        try:
            now, found = self._wall(), self._path.stat()
        except OSError as error:
            return self._later(f"the API key's file cannot be read: {error.strerror}")
        written_at = found.st_mtime_ns // 1_000_000
        if written_at != self._written_at:
            self._written_at, self._not_before, self._failures = written_at, 0, 0
        wait = max(written_at + self._every, self._not_before) - now
        if wait > 0:
            return min(wait, LOOK_EVERY)
        try:
            return self._rotate(found)
        except ConfigurationError as error:
            return self._later(error.detail)
        except OSError as error:
            return self._later(f"the API key's file cannot be written: {error.strerror}")

    def _rotate(self, found: os.stat_result) -> int:
        key = self._read()
        match self._ask(key):
            case Rotated(following):
                if self._read() != key:
                    return 0  # somebody else has put another key there: it has a time of its own
                self._write(following, found)
                self._said = ""
                self._log("the API key was rotated")
                self._mailbox.put("key")
                return 0
            case NotAccepted(reason):
                return self._later(f"the API key is not rotated: {reason or 'refused'}", REFUSED)
            case Transient(why, retry_after):
                return self._later(f"the API key is not rotated yet: {why}", retry_after)
            case Unknown(why):
                return self._later(f"the API key is not rotated yet: {why}")
            case outcome:
                assert_never(outcome)

    def _write(self, key: str, found: os.stat_result) -> None:
        group = found.st_gid if found.st_gid != os.getegid() else None
        write_atomically(self._path, f"{key}\n".encode(), mode=stat.S_IMODE(found.st_mode) & 0o660, group=group)

    def _later(self, why: str, pause: int | None = None) -> int:
        if why != self._said:
            self._said = why
            self._log(why)
        self._failures += 1
        wait = max(pause or 0, backoff(self._failures - 1, self._chance(), first=FIRST, longest=LONGEST, least=FIRST))
        self._not_before = self._wall() + wait
        return min(wait, LOOK_EVERY)
