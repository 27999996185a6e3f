"""`hourpass doctor`: looks for problems that make a client fail later, and prints one line for each check.

Each check is a function that returns a verdict and says what to do. No check sends a key or a token anywhere, and none
changes anything, except that reading a cache file closes it to other users, as every reading does.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, NamedTuple

import click

from hourpass.cli.client.api_key_source import LOOKS_LIKE_A_KEY
from hourpass.cli.client.client import Client
from hourpass.cli.client.options import ClientCommand, client_options
from hourpass.cli.client.schedule import longest_gap, longest_interval, timer_gap
from hourpass.cli.terminal import json_option, print_json, print_line
from hourpass.client.file_token import FileToken
from hourpass.clocks import age_clock, wall_clock
from hourpass.core.api_key import is_well_formed
from hourpass.core.duration import span
from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.core.policy import HOUR, MINUTE, SECOND

Finding = Literal["good", "note", "bad"]

OFFSET = 30 * SECOND
"""A clock that is off by more than this is wrong. A round trip cannot explain it."""

NETWORK_FILE_SYSTEMS = {
    "9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "smb3", "smbfs", "virtiofs",
}  # fmt: skip
"""File systems on which a lock may work on one machine only, or not at all."""


class Check(NamedTuple):
    """One line: what was checked, the verdict, and the reason in words."""

    name: str
    verdict: Finding
    detail: str


@click.command(cls=ClientCommand)
@click.option("--every", type=click.IntRange(1), metavar="MINUTES", help="also check a job that runs this often")
@click.option("--token-file", type=click.Path(), metavar="FILE", help="also check a token file, such as the agent's")
@client_options(agent=False)
@json_option
def doctor(client: Client, every: int | None, token_file: str | None, as_json: bool) -> None:
    """Look for problems of the client: clock, key, cache, lock, schedule, server. Exit code 1 if anything is bad."""
    url = client.server
    checks = [
        *_server(client, url),
        _api_key(client),
        _folder("cache folder", client.folder),
        _file("cache file", client.cache_path),
        _file_system(client.folder),
        _token(client),
        *_schedule(client, every),
        *([_folder("token folder", Path(token_file).parent), _sink(Path(token_file))] if token_file else []),
    ]
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for name, verdict, detail in checks:
            print_line(f"{verdict:4}  {name.ljust(width)}", detail)
    sys.exit(any(check.verdict == "bad" for check in checks))


def _server(client: Client, url: str) -> Iterator[Check]:
    """Send one GET without credentials: does the server answer, does it redirect, and what is its time?"""
    import httpx2

    target = f"{url}/auth/refresh"
    is_https = url.startswith("https:")
    try:
        with httpx2.Client(trust_env=is_https, verify=is_https, timeout=client.timeout or 0.1) as http:
            before = wall_clock()
            response = http.get(target, headers={"User-Agent": "hourpass"})
            after = wall_clock()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        yield Check("server", "bad", f"{url} does not answer ({type(error).__name__})")
        return
    if response.is_redirect:
        where = str(response.headers.get("location", ""))[:200]
        yield Check("server", "bad", f"{url} redirects to {where}: name the final URL, a key is never sent on")
    elif response.status_code in (404, 410):
        yield Check("server", "bad", f"there is no token endpoint below {url}: is a path missing?")
    elif response.status_code >= 500:
        yield Check("server", "bad", f"{url} answers {response.status_code}")
    else:
        yield Check("server", "good", f"{url} answers")
    yield _clock(response.headers.get("date"), before, after)


def _clock(date: str | None, before: int, after: int) -> Check:
    try:
        theirs = int(parsedate_to_datetime(date or "").timestamp()) * SECOND
    except ValueError:
        return Check("clock", "note", "the server does not send its time, so the clocks cannot be compared")
    # Their time is cut to the second, and lies somewhere between our two instants.
    offset = max(before - theirs - SECOND, theirs - after, 0)
    if offset > OFFSET:
        side = "behind" if theirs > after else "ahead of"
        return Check("clock", "bad", f"this machine's clock is {span(offset)} {side} the server's: set it by NTP")
    return Check("clock", "good", "agrees with the server's")


def _api_key(client: Client) -> Check:
    key = client.api_key
    if key.read is None:
        return Check("API key", "note", "none: when the refresh token ends, a person must act")
    try:
        text = key.read()
    except HourpassError as error:
        return Check("API key", "bad", error.detail)
    if LOOKS_LIKE_A_KEY.match(text) and not is_well_formed(text):
        return Check("API key", "bad", f"{key.place} holds a key with a wrong checksum: is a part of it missing?")
    if key.path is not None and (mode := stat.S_IMODE(key.path.stat().st_mode)) & 0o077:
        return Check("API key", "bad", f"{key.place} can be read by others (mode {mode:04o}): chmod 600")
    if key.place.startswith("HOURPASS_"):
        return Check("API key", "note", f"in {key.place}, which every child process inherits: a file is safer")
    if not is_well_formed(text):
        return Check(
            "API key",
            "note",
            f"{key.place} does not hold an hourpass key, and the server was not asked whether it is valid",
        )
    return Check(
        "API key", "good", f"in {key.place}: its checksum is right, but the server was not asked whether it is valid"
    )


def _folder(name: str, folder: Path) -> Check:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return Check(name, "good", f"{folder} will be made with the first token")
    except OSError as error:
        return Check(name, "bad", f"{folder}: {error.strerror}")
    if not stat.S_ISDIR(found.st_mode):
        return Check(name, "bad", f"{folder} is not a folder")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        return Check(name, "bad", f"anyone may replace files in {folder}: chmod o-w")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(name, "bad", f"this user may not write into {folder}")
    return Check(name, "good", str(folder))


def _file(name: str, path: Path) -> Check:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Check(name, "note", "there is no token yet: run hourpass refresh")
    except OSError as error:
        return Check(name, "bad", f"{path}: {error.strerror}")
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return Check(name, "bad", f"{path} is not a plain file of this user")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        return Check(name, "bad", f"{path} can be read by others (mode {mode:04o}): treat its tokens as leaked")
    return Check(name, "good", str(path))


def _file_system(folder: Path) -> Check:
    kind = file_system_of(folder, _read(Path("/proc/self/mountinfo")))
    if kind is None:
        return Check("lock", "note", "the file system of the cache cannot be determined")
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(
            "lock", "bad", f"{folder} is on {kind}, where a lock may not hold between machines: use a local disk"
        )
    return Check("lock", "good", f"on {kind}")


def file_system_of(path: Path, mounts: str) -> str | None:
    """The kind of file system that a path is on, or would be. `mounts` is text like /proc/self/mountinfo (proc(5))."""
    resolved = path.resolve()
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        # If several file systems are mounted at one place, the last one is on top.
        if resolved.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), after.split()[0])
    return best[1] if best else None


def _token(client: Client) -> Check:
    try:
        cached = client.cached()
    except ConfigurationError as error:
        return Check("token", "bad", error.detail)
    if cached is None:
        return Check("token", "note", "none yet")
    now = age_clock()
    match cached.freshness(now):
        case "fresh":
            return Check("token", "good", f"valid for {span(cached.expires_at - now)} more")
        case "due":
            return Check("token", "note", f"a refresh is due; valid for {span(cached.expires_at - now)} more")
        case "unusable":
            return Check("token", "bad", "has expired, and nobody has refreshed it")


def _schedule(client: Client, every: int | None) -> Iterator[Check]:
    lifetime = _lifetime(client)
    longest = longest_interval(lifetime)
    gaps = dict(_crontab_gaps()) | dict(_timer_gaps()) | ({"--every": every * MINUTE} if every else {})
    for place, gap in gaps.items():
        if gap > longest:
            yield Check(
                "schedule",
                "bad",
                f"{place}: {span(gap)} between two runs are too long for tokens of {span(lifetime)}:"
                f" use {span(longest)} or less",
            )
        else:
            yield Check("schedule", "good", f"{place}: every {span(gap)}")
    if not gaps:
        yield Check("schedule", "note", "this user has no job that refreshes: see hourpass install")


def _lifetime(client: Client) -> int:
    try:
        cached = client.cached()
    except ConfigurationError:
        cached = None
    return HOUR if cached is None else cached.lifetime


def _crontab_gaps() -> Iterator[tuple[str, int]]:
    program = shutil.which("crontab")
    if program is None:
        return
    listed = subprocess.run([program, "-l"], capture_output=True, text=True, check=False, timeout=30)
    for line in listed.stdout.splitlines():
        if "hourpass" in line and " refresh" in line and not line.lstrip().startswith("#"):
            gap = longest_gap(line.strip())
            if gap is not None:
                yield "the crontab", gap


def _timer_gaps() -> Iterator[tuple[str, int]]:
    from hourpass.cli.client.install import user_units

    for folder in filter(None, (user_units(), Path("/etc/systemd/system"))):
        path = folder / "hourpass-refresh.timer"
        gap = timer_gap(_read(path))
        if gap is not None:
            yield str(path), gap


def _sink(path: Path) -> Check:
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
    except OSError as error:
        return Check("token file", "bad", f"{path}: {error.strerror}")
    if mode & 0o007:
        return Check("token file", "bad", f"{path} can be read by anyone (mode {mode:04o})")
    try:
        left = (token := FileToken(path)).credential().expires_at - token.now()
    except HourpassError:
        return Check("token file", "bad", f"{path} does not hold a valid token, bare or in JSON")
    return Check("token file", "good", f"{path}, valid for {span(left)} more")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
