"""Hooks: programs that are run after a new token, for example to reload a server that reads the file.

Owns when they run and for how long. A hook is a list of arguments, and no shell ever sees it. It gets the path of the
token, never the token itself. Its output is dropped, because it may be the token.
"""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

HookResult = Literal["done", "failed", "timed_out"]

LIMIT = 30.0
"""Seconds that a hook may take."""

DEBOUNCE = 0.25
"""Seconds in which several new tokens cause one run."""


class Hooks:
    """Runs the hooks one after the other, in a thread of its own. New tokens that come meanwhile cause one more run.

    `environment` is the environment of the hooks, and must hold no secret. `log` is called if a hook fails.
    """

    def __init__(
        self,
        hooks: Sequence[Sequence[str]],
        *,
        environment: Mapping[str, str],
        log: Callable[[str], None],
        limit: float = LIMIT,
        debounce: float = DEBOUNCE,
    ) -> None:
        self.counts: Counter[HookResult] = Counter()
        self._hooks = [tuple(hook) for hook in hooks]
        self._environment = dict(environment)
        self._log = log
        self._limit = limit
        self._debounce = debounce
        self._triggers: SimpleQueue[bool] = SimpleQueue()
        self._running: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def trigger(self) -> None:
        """Run the hooks, because there is a new token. Never waits, never fails."""
        if not self._hooks:
            return
        self._triggers.put(True)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hourpass-hooks", daemon=True)
            self._thread.start()

    def close(self, within: float) -> None:
        """Wait up to `within` seconds for a run that is due or under way, then kill it."""
        if self._thread is not None:
            self._triggers.put(False)
            self._thread.join(within)
            _end(self._running)

    def _run(self) -> None:
        while self._triggers.get():
            time.sleep(self._debounce)
            is_last = self._is_closed()
            for hook in self._hooks:
                self._call(hook)
            if is_last:
                return

    def _is_closed(self) -> bool:
        """Take all triggers that have come meanwhile as one. Returns whether the last one was the end."""
        with suppress(Empty):
            while self._triggers.get_nowait():
                pass
            return True
        return False

    def _call(self, hook: tuple[str, ...]) -> None:
        name = Path(hook[0]).name
        try:
            # A process group of its own, so that its children end with it.
            process = subprocess.Popen(
                hook,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._count("failed", f"hook {name} cannot be started ({type(error).__name__})")
            return
        self._running = process
        try:
            code = process.wait(self._limit)
        except subprocess.TimeoutExpired:
            _end(process)
            process.wait()
            self._count("timed_out", f"hook {name} was ended after {self._limit:g} s")
        else:
            self._count(*(("done", "") if code == 0 else ("failed", f"hook {name} ended with {code}")))
        finally:
            self._running = None

    def _count(self, result: HookResult, words: str) -> None:
        self.counts[result] += 1
        if words:
            self._log(words)


def _end(process: "subprocess.Popen[bytes] | None") -> None:
    if process is not None and process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
