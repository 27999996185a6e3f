"""The agent's output: log lines, and on a terminal a status line below them that is rewritten in place."""

import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Self, TextIO

from hourpass.admin.instants import moment


class StatusLine:
    """Writes to `stream`. If that is not a terminal, or a dumb one, it writes only log lines. Safe for threads."""

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
        """Write a line that stays."""
        with self._guard:
            dated = f"{moment(self._wall())} " if self._is_dated else ""
            self._write(f"{dated}{words}\n")

    def show(self, status: object) -> None:
        """Replace the status line."""
        with self._guard:
            self._status = str(status)
            self._write("")

    def _write(self, line: str) -> None:
        if self.is_live:
            # A line that wraps cannot be rewritten in place.
            width = max(0, shutil.get_terminal_size().columns - 1)
            line = f"\r\x1b[K{line}{self._style[0]}{self._status[:width]}{self._style[1]}"
        if line:
            self._stream.write(line)
            self._stream.flush()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the status line, and leave the cursor at the beginning of a line."""
        with self._guard:
            self._status = ""
            self._write("")
