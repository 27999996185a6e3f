"""`hourpass run -- CMD`: runs a command, and keeps a token file fresh for as long as the command runs.

The token is in the file and nowhere else: no argument and no variable ever holds it. Signals are forwarded to the
command, and its exit code is passed on.
"""

import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hourpass.cli.client.api_key_source import VARIABLE
from hourpass.cli.client.client import Client, complain, obtain
from hourpass.cli.client.init_process import FORWARDED, exit_code_of, go_on_in_child, next_signal
from hourpass.cli.client.options import ClientCommand, client_options, min_valid_option
from hourpass.client.credential import Credential
from hourpass.core.errors import HourpassError
from hourpass.core.policy import SECOND
from hourpass.secret_file import write_atomically

if TYPE_CHECKING:
    from hourpass.client.agent_token import AgentToken
    from hourpass.client.source import TokenSource

CHANGED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores these signals, and a command must not inherit that."""

SLICE = 30 * SECOND
"""The longest wait, in milliseconds. It stands still while the machine is suspended, but the source's clock goes on. So
after waking up the keeper is late by at most this."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The shell's own codes (POSIX, Shell Command Language §2.8.2)."""


@click.command(cls=ClientCommand, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="-- CMD [ARGUMENT]…")
@min_valid_option
@client_options()
def run(client: Client, min_valid: float, command: tuple[str, ...]) -> None:
    """Run a command that reads its token from the file named in HOURPASS_TOKEN_FILE.

    The file holds the bare token, is kept fresh while the command runs, and is removed after it. Signals are forwarded.

    The exit code is the command's, or 127 not found, 126 not executable, 128 + N ended by signal N. Without a token the
    command is not run: 20 no valid token, 30 login required, 40 lock time-out, 2 usage.
    """
    go_on_in_child()
    source = client.source()
    answer = obtain(source, min_valid)
    if answer.trouble is not None:
        complain(answer.trouble)
    with tempfile.TemporaryDirectory(prefix="hourpass-", dir=_memory_folder()) as folder:
        keeper = _Keeper(source, Path(folder, "token"), answer.credential)
        # Block the signals before the second thread starts, so that this thread gets them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with keeper:
            code = _supervise(command, keeper.path, before)
    sys.exit(code)


def _memory_folder() -> str | None:
    """A folder whose files never touch a disk, if there is one."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    return folder if os.path.isabs(folder) and os.access(folder, os.W_OK) else None  # noqa: PTH117


def _supervise(command: tuple[str, ...], token_file: Path, mask: set[int | signal.Signals]) -> int:
    """Start the command, forward signals, and return its exit code."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment["HOURPASS_TOKEN_FILE"] = str(token_file)
    try:
        child = os.posix_spawnp(
            command[0], command, environment, setsigmask=[int(one) for one in mask], setsigdef=CHANGED_BY_PYTHON
        )
    except OSError as error:
        print(f"hourpass: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    while True:
        number, is_typed = next_signal()
        if number != signal.SIGCHLD:
            # A signal that was typed on the terminal has reached the command already.
            if not is_typed:
                with suppress(ProcessLookupError):
                    os.kill(child, number)
            continue
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return exit_code_of(status)


class _Keeper:
    """Writes the token file, and writes it again for each new token, until the end of its `with`."""

    def __init__(self, source: "TokenSource | AgentToken", path: Path, credential: Credential) -> None:
        self.path = path
        self._source = source
        self._credential = credential
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hourpass-keeper", daemon=True)

    def __enter__(self) -> None:
        write_atomically(self.path, self._credential.access_token.encode())
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # The folder is removed next, and the thread must not write into it then.
        self._thread.join()

    def _keep(self) -> None:
        said = ""
        while not self._stopped.wait(self._pause()):
            if self._source.now() < self._credential.soft:
                continue
            try:
                newer = self._source.refresh(retry=False)
                if newer.access_token != self._credential.access_token:
                    write_atomically(self.path, newer.access_token.encode())
                    self._credential = newer
                said = ""
            except (HourpassError, OSError) as error:
                trouble = error if isinstance(error, HourpassError) else HourpassError(error.strerror or "")
                if trouble.detail != said:
                    complain(trouble)
                said = trouble.detail
            if not self._credential.is_usable(self._source.now()):
                # No token is better than one that is sure to be refused.
                self.path.unlink(missing_ok=True)

    def _pause(self) -> float:
        """Seconds until the next look. Once a refresh is due, the source itself backs off if the server has trouble."""
        left = self._credential.soft - self._source.now()
        if left > 0:
            return min(left, SLICE) / SECOND
        return min(max(self._credential.lifetime / 100, 100), 5 * SECOND) / SECOND
