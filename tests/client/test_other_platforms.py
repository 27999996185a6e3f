"""Without what only POSIX has, as on Windows, the client library works, and the agent says what it needs.

Simulated: the names are taken away before anything is imported.
"""

import subprocess
import sys

import pytest

WITHOUT_POSIX = """
import os, signal, socket, socketserver, sys, time, types
import aiohttp, filelock, httpx, httpx2, requests
# Theirs have code of their own for Windows, so they keep what there is.
kept = types.SimpleNamespace(**vars(os))
for name, module in list(sys.modules.items()):
    if name.partition(".")[0] not in ("os", "__main__") and getattr(module, "os", None) is os:
        module.os = kept
for module, names in {
    os: "geteuid getuid getegid fchmod fchown chown O_NONBLOCK O_NOFOLLOW O_DIRECTORY register_at_fork fork killpg",
    socket: "AF_UNIX SO_PEERCRED",
    socketserver: "UnixStreamServer UnixDatagramServer ThreadingUnixStreamServer",
    signal: "SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGXFSZ pthread_sigmask sigwait sigwaitinfo",
    time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime_ns",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("grp", "pwd", "termios", "resource"):
    sys.modules[name] = None
"""

USE = """
import pathlib
import httpx2
from hourpass.client import FileCache, FileToken, MemoryCache, Refresher, TokenSource
from hourpass.client.auth import aiohttp, httpx, httpx2 as _, requests

def answer(request):
    return httpx2.Response(200, json={"access_token": "a", "expires_in": 3600, "refresh_token": "r"})

transport = httpx2.MockTransport(answer)
path = pathlib.Path(sys.argv[1])
for _ in range(2):
    with TokenSource("https://a.example", "KEY", cache=FileCache(path / "token"), transport=transport) as source:
        print(source.token())
(path / "file").write_text("b")
print(FileToken(path / "file").token())
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX + code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_client_library_works_without_posix(tmp_path):
    done = run(USE, tmp_path)

    assert (done.returncode, done.stdout.split()) == (0, ["a", "a", "b"]), done.stderr


WITH_AN_AGENT = """
import pathlib
from hourpass.client import FileToken
from hourpass.core.errors import Unavailable

path = pathlib.Path(sys.argv[1], "file")
path.write_text("b")
tokens = FileToken(path, agent="/run/agent.sock")
tokens.token()
try:
    tokens.refresh(rejected=1, within=0)
except Unavailable:
    print(tokens.token())
"""


def test_an_agent_that_cannot_be_asked_is_told_in_the_log(tmp_path):
    done = run(WITH_AN_AGENT, tmp_path)

    assert (done.returncode, done.stdout) == (0, "b\n"), done.stderr
    assert done.stderr == (
        "the agent was not told of a rejected token: the agent at /run/agent.sock cannot be reached:"
        " this system has no unix sockets\n"
    )


def test_a_verifier_works_without_posix():
    code = """
from hourpass.verifier import Verifier, asgi, wsgi
verifier = Verifier(issuer="https://127.0.0.1:9", audience="a", timeout=1)
try:
    verifier.verify("e.e.e")
except Exception as error:
    print(type(error).__name__)
verifier.close()
"""
    done = run(code)

    assert (done.returncode, done.stdout) == (0, "Unavailable\n"), done.stderr


@pytest.mark.parametrize("module", ["agent", "sinks", "delivery", "socket"])
def test_the_agent_says_what_it_needs(module):
    done = run(f"import hourpass.client.agent.{module}")

    assert done.stderr.splitlines()[-1].startswith("ImportError: the agent needs Linux, macOS or another POSIX system")
