"""`hourpass install`: prints or writes the crontab entry or the systemd units that keep the cache fresh.

You can write as often as you like: an entry of the same name is replaced, and the rest of a crontab is unchanged. An
interval that is too long for the token's lifetime is refused.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hourpass.cli.client.client import Client
from hourpass.cli.client.options import ClientCommand, client_options
from hourpass.cli.client.schedule import crontab_line, longest_interval, service_unit, timer_unit
from hourpass.cli.terminal import say
from hourpass.core.duration import span
from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.core.policy import HOUR, MINUTE, SECOND
from hourpass.home import folder_for

F = TypeVar("F", bound=Callable[..., Any])

DIVISORS = ("1", "2", "3", "4", "5", "6", "10", "12", "15", "20", "30", "60")
"""Minutes that cron can repeat evenly."""

SYSTEM_CACHE = "/var/cache/hourpass"


def _job_options(command: F) -> F:
    options = [
        click.option(
            "--every",
            type=click.Choice(DIVISORS),
            default="3",
            show_default=True,
            metavar="MINUTES",
            help="how often to check whether a refresh is due",
        ),
        click.option(
            "--splay",
            type=click.IntRange(0, 3600),
            metavar="SECONDS",
            help="delay each run by a random time up to this  [the interval, or less to leave time for two runs]",
        ),
        click.option(
            "--lifetime",
            type=click.IntRange(1, 86_400 * 365),
            metavar="SECONDS",
            help="the tokens' lifetime  [that of the cached token, else 3600]",
        ),
        click.option(
            "--name",
            default="hourpass-refresh",
            show_default=True,
            metavar="NAME",
            callback=_checked_name,
            help="the entry's name; each credential needs its own",
        ),
        click.option("--program", metavar="PATH", help="the hourpass command that the job runs  [this one]"),
        click.option("--write", is_flag=True, help="write it instead of printing it"),
    ]
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _checked_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value or not all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in value):
        raise click.BadParameter("must be letters, digits, - and _")
    return value


@click.group()
def install() -> None:
    """Print or write the job that refreshes on a schedule."""


@install.command(cls=ClientCommand)
@_job_options
@client_options(agent=False)
def crontab(
    client: Client, every: str, splay: int | None, lifetime: int | None, name: str, program: str | None, write: bool
) -> None:
    """Print the crontab entry. --write puts it into this user's crontab."""
    splay = _spread(client, int(every), splay, lifetime)
    words = [*_words(client, program), *(["--splay", str(splay)] if splay else []), "--quiet"]
    entry = f"# {name}\n{crontab_line(int(every), words)}\n"
    if not write:
        click.echo(entry, nl=False)
        return
    before = _crontab()
    after = _replaced(before, name, entry)
    if after != before:
        _crontab(after)
    say(f"The crontab {'has' if after == before else 'now has'} the entry {name}.")


@install.command(cls=ClientCommand)
@_job_options
@click.option(
    "--system",
    "user",
    metavar="USER",
    help="make system units that run as this user; systemd reads the key file for them",
)
@client_options(agent=False)
def systemd(
    client: Client,
    every: str,
    splay: int | None,
    lifetime: int | None,
    name: str,
    program: str | None,
    user: str | None,
    write: bool,
) -> None:
    """Print a service and its timer. --write writes them for this user, or with --system for the system."""
    splay = _spread(client, int(every), splay, lifetime)
    service = service_unit(
        _words(client, program, system=user is not None),
        user=user,
        key_file=str(client.api_key.path) if client.api_key.path else None,
    )
    units = {f"{name}.service": service, f"{name}.timer": timer_unit(int(every), splay)}
    if not write:
        click.echo("\n".join(f"# {file}\n{text}" for file, text in units.items()), nl=False)
        return
    folder = Path("/etc/systemd/system") if user else user_units()
    if folder is None:
        raise ConfigurationError("this user has no home folder for units: use --system USER, or set XDG_CONFIG_HOME")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in units.items():
        path = folder / file
        is_new = not path.exists() or path.read_text("utf-8") != text
        if is_new:
            path.write_text(text, "utf-8")
        say(f"{path} is {'written' if is_new else 'as it should be'}.")
    manager = "systemctl" if user else "systemctl --user"
    say(f"Now: {manager} daemon-reload && {manager} enable --now {name}.timer")


def user_units() -> Path | None:
    """The folder of this user's units (systemd.unit(5)). None for a user without a home folder."""
    folder = folder_for("CONFIG", ".config", os.environ)
    return folder / "systemd" / "user" if folder else None


def _words(client: Client, program: str | None, *, system: bool = False) -> list[str]:
    """The job's command, with every option spelled out, because a scheduler does not pass on the environment."""
    key = client.api_key
    words = [program or _this_program(), "refresh", "--if-due", "--url", client.server]
    words += ["--allow-http"] if client.allow_http else []
    if key.path is not None:
        # A system unit gets the key from systemd, which reads the file as root.
        words += [] if system else ["--api-key-file", str(key.path)]
    elif key.command is not None:
        words += ["--api-key-command", key.command]
    elif key.read is not None:
        raise click.UsageError(f"a scheduled job does not get the key from {key.place}: use --api-key-file")
    else:
        say("hourpass: without --api-key-file the job fails once the refresh token in the cache has ended")
    words += ["--cache", SYSTEM_CACHE if system else str(client.folder)]
    words += ["--scope", client.scope] if client.scope else []
    words += ["--audience", client.audience] if client.audience else []
    if any("\n" in word or "\r" in word for word in words):
        raise click.UsageError("a job cannot hold a line break")
    return words


def _this_program() -> str:
    found = shutil.which(sys.argv[0])
    if found is None:
        raise click.UsageError("cannot find the path of this command: use --program")
    return str(Path(found).absolute())


def _spread(client: Client, minutes: int, splay: int | None, lifetime: int | None) -> int:
    """The splay in seconds. By default it is the whole interval, so that nobody can foretell the next run.

    Raises:
        UsageError: if the interval is too long for the tokens' lifetime.
    """
    cached = None if lifetime else client.cached()
    milliseconds = lifetime * SECOND if lifetime else cached.lifetime if cached else HOUR
    longest = longest_interval(milliseconds)
    room = longest // SECOND - minutes * 60
    if splay is None and room >= 0:
        return min(minutes * 60, room)
    splay = minutes * 60 if splay is None else splay
    if splay <= room:
        return splay
    advice = "use hourpass agent or hourpass run"
    if longest >= MINUTE:
        fitting = max(int(one) for one in DIVISORS if int(one) * MINUTE <= longest)
        advice = f"use --every {fitting} --splay {min(splay, longest // SECOND - fitting * 60)}"
    raise click.UsageError(
        f"every {minutes} min and a splay of {splay} s are too long for tokens that live {span(milliseconds)}: two runs"
        f" must fit in after a refresh is due and before the last use, so interval and splay together may take"
        f" {span(longest)}: {advice}"
    )


def _replaced(before: str, name: str, entry: str) -> str:
    """The crontab with this entry once: in its old place, or else at the end."""
    lines = before.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.rstrip("\n") == f"# {name}":
            return "".join([*lines[:number], entry, *lines[number + 2 :]])
    end = "\n" if before and not before.endswith("\n") else ""
    return before + end + entry


def _crontab(text: str | None = None) -> str:
    """Read this user's crontab, or replace it."""
    program = shutil.which("crontab")
    if program is None:
        raise HourpassError("there is no crontab command here: leave out --write to print the entry")
    done = subprocess.run(
        [program, "-l" if text is None else "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode == 0:
        return done.stdout
    if text is None and "no crontab" in done.stderr:
        return ""
    raise HourpassError(f"crontab ended with {done.returncode}: {done.stderr.strip()}")
