"""Runs a command on a database and over a server's admin API, in the same state, and compares all that it says."""

import re
import signal
import sqlite3
import subprocess
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from tests.conftest import HOURPASS, ServerProcess, clean_environment, free_port, run_command

from hourpass.core.key_shape import BEGINNING

API_KEY = BEGINNING + r"([0-9A-Za-z]{12})_\w+"

FRESH = {
    "api key": API_KEY,
    "key id": r"[0-9A-Za-z]{12}",
    "kid": r"[0-9a-f]{12}",
    "webhook id": r"\w{8,}",
    "secret": r"whsec_\S+",
    "took": r"\d+",
}
"""What a command makes of chance, so that it is another one each time."""

APART = 20
"""Seconds between the two runs at most."""


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Both:
    """A server with a data folder, and a folder into which its state is copied before each command."""

    def __init__(self, folder: Path) -> None:
        self.data, self.copy = folder / "server", folder / "copy"
        self.files = folder / "files"
        self.given: list[tuple[str, ...]] = []
        for each in (self.data, self.copy, self.files):
            each.mkdir(mode=0o700)
        self.admin = f"http://127.0.0.1:{free_port()}"
        environment = {"HOURPASS_WEBHOOK_ALLOW_PRIVATE": "true"}
        flags = {"admin-listen": self.admin.removeprefix("http://"), "exchange-limit": 0, "admin-limit": 0}
        self.server = ServerProcess(self.data, folder / "log", flags, environment)
        (self.data / "hourpass.toml").write_text(f'issuer = "{self.server.url}"\n')
        self.environment = clean_environment(
            HOME=str(folder), XDG_CACHE_HOME=str(folder / "cache"), USER="ada", **environment
        )
        self.server.start()
        self.key_file = folder / "admin-key"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(self.create("--admin", "owner")["api_key"])
        opened = self.remote("grants", "list")  # opens the grant, which every copy has from now on
        assert opened.code == 0, opened.err + self.server.log.read_text()[-2_000:]

    def create(self, *arguments: str) -> dict:
        """A new key, made on the server's own database."""
        return self.server.create_key(*arguments)

    def take_copy(self) -> None:
        """The state of the server, as a data folder of its own."""
        for name in ("hourpass.toml", "master.key"):
            (self.copy / name).unlink(missing_ok=True)
            (self.copy / name).touch(mode=0o600)
            (self.copy / name).write_bytes((self.data / name).read_bytes())
        for old in self.copy.glob("hourpass.db*"):
            old.unlink()
        (self.copy / "hourpass.db").touch(mode=0o600)
        with sqlite3.connect(self.data / "hourpass.db") as source, sqlite3.connect(self.copy / "hourpass.db") as target:
            source.backup(target)

    def local(self, *arguments: str, stdin: str = "", **environment: str) -> Said:
        """The command on the copy."""
        return self._run([*arguments, "--data", str(self.copy)], stdin, environment)

    def remote(self, *arguments: str, stdin: str = "", **environment: str) -> Said:
        """The command over the admin API."""
        before = ["--server", self.admin, "--admin-key-file", str(self.key_file)]
        return self._run([*before, *arguments], stdin, environment)

    def _run(self, arguments: list[str], stdin: str, environment: dict[str, str]) -> Said:
        env = {**self.environment, **environment}
        done = run_command(*arguments, check=False, env=env, input=stdin, cwd=self.files)
        return Said(done.returncode, done.stdout, done.stderr)

    def same(self, *arguments: str, stdin: str = "", fresh: tuple[str, ...] = (), code: int = 0) -> Said:
        """Run it both ways, and return what it said over the admin API. It ends with `code` both ways."""
        self.given.append(arguments)
        self.take_copy()
        local = self.local(*arguments, stdin=stdin)
        written = self._report()
        remote = self.remote(*arguments, stdin=stdin)
        assert "Traceback" not in local.err + remote.err, local.err + remote.err
        assert (local.code, remote.code) == (code, code), f"{arguments}\n{local}\n{remote}"
        for one, other in ((local.out, remote.out), (_nameless(local.err), _nameless(remote.err))):
            difference = differing(one, other, fresh)
            assert not difference, f"{arguments}: {difference}\n{local}\n{remote}"
        assert not differing(written, self._report(), fresh)
        return remote

    def _report(self) -> str:
        """What a command wrote into the file `report`, which is not there any more then."""
        report = self.files / "report"
        text = report.read_text() if report.exists() else ""
        report.unlink(missing_ok=True)
        return text

    def reads(self, *arguments: str, stdin: str = "", code: int = 0) -> None:
        """The same as text and as JSON, for a command that changes nothing.

        The server writes down by itself when a key was used, and what it counted: then it is asked once more.
        """
        for form in ((), ("--json",)):
            try:
                self.same(*arguments, *form, stdin=stdin, code=code)
            except AssertionError:
                self.same(*arguments, *form, stdin=stdin, code=code)

    def changes(self, *arguments: str, stdin: str = "", fresh: tuple[str, ...] = ()) -> None:
        """The same as text and as JSON, for a command that changes something, if it was not changed before."""
        for form in ((), ("--json",)):
            self.same(*arguments, *form, stdin=stdin, fresh=fresh)

    def follow(self, *arguments: str) -> list[str]:
        """What `audit --follow` prints of an event that happens meanwhile: on the server's database, and over HTTP."""
        self.given.append(("audit", "--follow"))
        before = ["--server", self.admin, "--admin-key-file", str(self.key_file)]
        ways = ([], ["--data", str(self.data)]), (before, [])
        commands = [[HOURPASS, *first, "audit", "--follow", *arguments, *last] for first, last in ways]
        running = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True, env=self.environment) for each in commands]
        for each in running:
            each.stdout.readline()  # what was there before
        key_id = self.create()["key_id"]
        lines = [each.stdout.readline() for each in running]
        for each in running:
            each.send_signal(signal.SIGINT)
            assert each.wait(10) == 0
            each.stdout.close()
        assert f"key_id={key_id}" in lines[0]
        return lines


def _nameless(err: str) -> str:
    return re.sub(r"^(Database: sqlite:\S+|Server: http\S+)$", "The place", err, flags=re.MULTILINE)


_UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_SPAN = re.compile(r"\b\d+ (?:d|h|min|s)\b(?: \d+ (?:d|h|min|s)\b)?")
_TOOK = re.compile(r"\(\d+\.\d s\)")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def differing(one: str, other: str, fresh: tuple[str, ...] = ()) -> str:
    """Where two outputs differ, but for instants and spans some seconds apart, and for what is `fresh`."""
    given: dict[str, str] = {}
    for mine, theirs in zip_longest(_words(one), _words(other), fillvalue=""):
        if mine == theirs or _are_near(mine, theirs):
            continue
        shapes = [name for name in fresh if re.fullmatch(FRESH[name], mine) and re.fullmatch(FRESH[name], theirs)]
        if not shapes or given.setdefault(mine, theirs) != theirs:
            return f"{mine!r} and {theirs!r}"
        if (key := re.fullmatch(API_KEY, mine)) and (another := re.fullmatch(API_KEY, theirs)):
            given[key[1]] = another[1]
    return ""


def _words(text: str) -> list[str]:
    spans = _SPAN.sub(lambda found: f"⟨{_seconds(found[0])}⟩", _TOOK.sub("(took)", text))
    return re.split(r'([\s"=,;()]+|(?<=[^\d])[.:](?=\s|$))', spans)


def _seconds(span: str) -> int:
    parts = span.split()
    return sum(int(count) * _UNITS[unit] for count, unit in zip(parts[::2], parts[1::2], strict=True))


def _are_near(mine: str, theirs: str) -> bool:
    if mine[:1] == theirs[:1] == "⟨":
        return abs(int(mine[1:-1]) - int(theirs[1:-1])) <= APART
    if _INSTANT.fullmatch(mine) and _INSTANT.fullmatch(theirs):
        return abs((datetime.fromisoformat(mine) - datetime.fromisoformat(theirs)).total_seconds()) <= APART
    return False
