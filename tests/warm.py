"""`hourpass` commands that start at once: forks of a process which has already imported what a command needs.

Python takes most of a second on a busy machine to import a command, and the tests run thousands. Each fork is a process
of its own, with its own environment, folder and standard streams, and nothing that a command did before is left in it.
`tests/cli/test_command.py` and everything that starts a command by `HOURPASS` run the installed executable.
"""

import atexit
import json
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

WINGS = ("cli", "client", "core", "jose", "server")


class WarmCommand:
    """Runs `hourpass` in forks of one warm process, which is started with the first command."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
        self._path = str(self._folder / "socket")
        self._ended, told = os.pipe()
        os.set_inheritable(self._ended, False)
        self._process = subprocess.Popen([sys.executable, __file__, self._path, str(told)], pass_fds=[told])
        os.close(told)
        assert os.read(self._ended, 1) == b"+", "the warm process did not start"
        atexit.register(self.close)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ended)
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self,
        arguments: Sequence[str],
        *,
        env: dict[str, str],
        cwd: str | Path | None = None,
        input: str | None = None,  # noqa: A002 - as `subprocess.run` has it
        umask: int = -1,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """The same as `subprocess.run` for the command, as text.

        Raises:
            subprocess.TimeoutExpired: It took too long, and was killed.
        """
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            stdin.write((input or "").encode())
            stdin.seek(0)
            wanted = {
                "arguments": [*map(os.fsdecode, arguments)],
                "env": env,
                "cwd": str(cwd or Path.cwd()),
                "umask": umask,
            }
            code = self._ask(wanted, (stdin, stdout, stderr), timeout)
            return subprocess.CompletedProcess([*wanted["arguments"]], code, _text(stdout), _text(stderr))

    def _ask(self, wanted: dict, streams: tuple[BinaryIO, ...], timeout: float) -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(timeout)
            connection.connect(self._path)
            socket.send_fds(connection, [json.dumps(wanted).encode()], [stream.fileno() for stream in streams])
            pid = int(connection.recv(32))
            try:
                return int(connection.recv(32))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(wanted["arguments"], timeout) from None


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode()


def _import_all() -> None:
    for wing in WINGS:
        package = import_module(f"hourpass.{wing}")
        for found in pkgutil.walk_packages(package.__path__, f"hourpass.{wing}."):
            if "auth" not in found.name and not found.name.endswith("__main__"):
                import_module(found.name)


def _serve(path: str, told: int) -> None:
    _import_all()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the monitors
    os.write(told, b"+")
    tests = os.getppid()
    listener.settimeout(5)
    while os.getppid() == tests:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            os.close(told)
            _monitor(connection)
        connection.close()


def _monitor(connection: socket.socket) -> None:
    """Run one command in a child, and say its process id and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wanted, streams, _, _ = socket.recv_fds(connection, 1_000_000, 3)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(json.loads(wanted), streams)
    connection.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(wanted: dict, streams: list[int]) -> None:
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 - they are the process's own
    sys.stderr = open(2, "w", errors="backslashreplace")  # noqa: SIM115
    os.chdir(wanted["cwd"])
    if wanted["umask"] >= 0:
        os.umask(wanted["umask"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    time.tzset()
    sys.argv = [str(Path(sys.executable).with_name("hourpass")), *wanted["arguments"]]
    code: object = 0
    try:
        import_module("hourpass.cli").main()
    except SystemExit as ending:
        code = ending.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    del sys.path[0]  # the folders of tests have names of packages
    _serve(sys.argv[1], int(sys.argv[2]))
