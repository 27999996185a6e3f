"""How the agent talks: log lines, and on a terminal one line below them that says how it is, written over and over."""

import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Self, TextIO

from hourpass.cli.terminal import moment


class StatusLine:
    """Writes to `stream`. Where that is no terminal, or a dumb one, it writes log lines alone. Safe for threads."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str], wall: Callable[[], int]) -> None:
        self.is_live = stream.isatty() and environ.get("TERM", "dumb") != "dumb"
        self._stream = stream
        self._wall = wall
        self._guard = threading.Lock()
        self._status = ""
        self._style = ("", "") if "NO_COLOR" in environ else ("\x1b[2m", "\x1b[0m")
        # The journal writes the time itself.
        self._is_dated = "JOURNAL_STREAM" not in environ

    def log(self, words: str) -> None:
        """One line that stays."""
        with self._guard:
            dated = f"{moment(self._wall())} " if self._is_dated else ""
            self._write(f"{dated}{words}\n")

    def show(self, status: object) -> None:
        """How it is now."""
        with self._guard:
            self._status = str(status)
            self._write("")

    def _write(self, line: str) -> None:
        if self.is_live:
            # What wraps cannot be written over.
            width = max(0, shutil.get_terminal_size().columns - 1)
            line = f"\r\x1b[K{line}{self._style[0]}{self._status[:width]}{self._style[1]}"
        if line:
            self._stream.write(line)
            self._stream.flush()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cursor at the beginning of a line."""
        with self._guard:
            self._status = ""
            self._write("")
