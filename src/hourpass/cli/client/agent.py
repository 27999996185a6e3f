"""`hourpass agent`: puts the agent together. Owns its flags, its file of sinks and hooks, and its signals."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from hourpass.cli.client.api_key_source import ApiKeySource
from hourpass.cli.client.client import Client
from hourpass.cli.client.options import ClientCommand, client_options
from hourpass.client.agent.sinks import FileSink, Form, OnExpiry
from hourpass.core.errors import ConfigurationError
from hourpass.core.policy import SECOND
from hourpass.service_links import is_service_link, note_on_service_links
from hourpass.settings_file import did_you_mean, read_settings_file

if TYPE_CHECKING:
    from hourpass.client.agent.agent import Agent
    from hourpass.client.agent.delivery import Plan
    from hourpass.client.agent.key_rotation import KeyRotation
    from hourpass.client.agent.mailbox import Mailbox, Message
    from hourpass.client.source import TokenSource

PREFIX = "HOURPASS_AGENT_"


class SinkSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A sink as the configuration file describes it."""

    path: str
    format: Form = "raw"
    template: str | None = None
    group: str | None = None
    on_expiry: OnExpiry = "remove"

    def sink(self) -> FileSink:
        """The sink itself."""
        options: dict[str, Any] = {"template": self.template, "group": self.group, "on_expiry": self.on_expiry}
        return FileSink(self.path, form=self.format, **options)


class Targets(msgspec.Struct, kw_only=True):
    """What a reload reads again: sinks, and hooks as lists of arguments."""

    sinks: list[SinkSettings] = []
    hooks: list[list[str]] = []


def read_targets(values: Mapping[str, object], flags: Mapping[str, Any]) -> Targets:
    """The sinks and hooks of the file. Those of the flags replace them.

    Raises:
        ConfigurationError: names what is wrong, and for an unknown key the nearest known one.
    """
    chosen = {name: values[name] for name in Targets.__struct_fields__ if name in values}
    given = {name: flags[name] for name in SinkSettings.__struct_fields__ if flags.get(name)}
    if "path" in given:
        chosen["sinks"] = [given]
    elif given:
        raise ConfigurationError(f"{', '.join(sorted(given))}: name the file with --sink")
    if flags.get("hook"):
        chosen["hooks"] = [[program] for program in flags["hook"]]
    try:
        targets = msgspec.convert(chosen, Targets)
    except msgspec.ValidationError as error:
        words = str(error)
        near = did_you_mean(words.split("`")[1], SinkSettings.__struct_fields__) if "unknown field" in words else ""
        raise ConfigurationError(f"sinks and hooks: {words}{near}") from None
    if not all(targets.hooks):
        raise ConfigurationError("a hook must be a program and its arguments, and must not be empty")
    return targets


_FLAGS_ONLY = {"config", "api_key", "path", "format", "template", "group", "on_expiry", "hook"}
"""Flags without a key of the same name in the file."""


def _known(context: click.Context) -> set[str]:
    return {str(parameter.name) for parameter in context.command.params} - _FLAGS_ONLY | {"sinks", "hooks"}


def _configure(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    """Make the file's values the defaults of flags and environment."""
    variables = {str(parameter.envvar) for parameter in context.command.params if parameter.envvar}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in variables and not is_service_link(name, os.environ[name]):
            raise click.UsageError(f"{name} is not a setting{did_you_mean(name, variables)}")
    if path is not None:
        try:
            context.default_map = read_settings_file(Path(path), _known(context))
        except ConfigurationError as error:
            raise click.UsageError(error.detail) from None
    return path


def _option(flag: str, help: str, **more: Any) -> Callable[[Any], Any]:  # noqa: A002 as click names it
    variable = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, **{"envvar": variable, "help": help, **more})


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_INTERVAL = re.compile(r"([0-9]{1,9})([smhd]?)", re.ASCII)
LONGEST_INTERVAL = 3660 * 86_400


def _interval(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = _INTERVAL.fullmatch(str(value))
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= LONGEST_INTERVAL:
        raise click.BadParameter("give a time such as 30d, from 1s to 3660d")
    return seconds * SECOND


@click.command(cls=ClientCommand)
@_option(
    "--config", "TOML file with [[sinks]], hooks and any other flag", metavar="FILE", is_eager=True, callback=_configure
)
@client_options(agent=False)
@_option("--api-key-env", "name of the environment variable that holds the API key", metavar="NAME")
@click.option("--sink", "path", envvar=f"{PREFIX}SINK", metavar="FILE", help="keep the token in this file")
@_option("--format", "the format of the file  [raw]", type=click.Choice(get_args(Form)))
@_option("--template", "text with $access_token, $token_type, $issued_at, $expires_at", metavar="TEXT")
@_option("--group", "a group that may read the file too, with mode 0640 instead of 0600")
@_option(
    "--on-expiry",
    "what to do with the file if the token expires and no new one has come  [remove]",
    type=click.Choice(get_args(OnExpiry)),
)
@_option("--hook", "program to run after each new token; may be repeated", multiple=True, metavar="PROGRAM")
@_option("--socket", "unix socket for programs of this user", envvar="HOURPASS_AGENT", metavar="PATH")
@_option("--allow-uid", "another user who may ask at the socket; may be repeated", multiple=True, type=int)
@_option("--listen", "loopback address for programs that know the secret", metavar="127.0.0.1:PORT")
@_option("--listen-secret-file", "file with that secret", metavar="FILE")
@_option(
    "--rotate-key-every",
    "ask for the API key's next secret this often and write it into the key's file, if the key allows it",
    metavar="30d",
    callback=_interval,
)
@click.pass_context
def agent(context: click.Context, /, client: Client, **flags: Any) -> None:
    """Keep one token fresh, and pass it on through files and a socket, until TERM.

    HUP reads sinks, hooks and the API key again. USR1 refreshes now. A second agent of the same credential stands by.
    """
    from hourpass.cli.client.init_process import go_on_in_child
    from hourpass.cli.status_line import StatusLine
    from hourpass.client.agent.agent import TICK, Agent
    from hourpass.client.agent.mailbox import Mailbox
    from hourpass.client.refresh.cache import FileCache
    from hourpass.clocks import wall_clock
    from hourpass.service_manager import Notifier, watchdog_interval

    go_on_in_child()
    environ = os.environ
    talk = StatusLine(sys.stderr, environ, wall_clock)
    if note := note_on_service_links(environ):
        talk.log(note)
    mailbox = Mailbox()
    api_key = _api_key(client.api_key, flags["api_key_env"], environ)
    source = client.token_source(
        api_key, cache=FileCache(client.cache_path), timeout=client.timeout, observe=mailbox.put
    )

    def load() -> "Plan":
        # The file is read again, and the flags stay as they were given.
        values = read_settings_file(Path(flags["config"]), _known(context)) if flags["config"] else {}
        return _plan(read_targets(values, flags), talk.log)

    ticks = (watchdog_interval(environ.get("WATCHDOG_USEC"), environ.get("WATCHDOG_PID"), os.getpid()), TICK)
    served = Agent(
        source,
        mailbox,
        load,
        log=talk.log,
        key_name=api_key.name,
        show=talk.show,
        notifier=Notifier(environ.get("NOTIFY_SOCKET")),
        tick=SECOND if talk.is_live else min(tick for tick in ticks if tick),
    )
    rotating = flags["rotate_key_every"] is not None
    rotations = [_rotation(client, flags, source, mailbox, talk.log)] if rotating else []
    with _signals(mailbox), talk:
        served.run(FileCache(f"{client.cache_path}.agent"), [*_services(served, flags), *rotations])


def _api_key(found: ApiKeySource, name: str | None, environ: Mapping[str, str]) -> ApiKeySource:
    if name is None:
        return found
    if name not in environ:
        raise ConfigurationError(f"there is no environment variable {name}")
    return ApiKeySource(f"the variable {name}", lambda: environ[name])


def _rotation(
    client: Client, flags: Mapping[str, Any], source: "TokenSource", mailbox: "Mailbox", log: Callable[[str], None]
) -> "KeyRotation":
    from hourpass.client.agent.key_rotation import KeyRotation
    from hourpass.clocks import draw, wall_clock

    path, read = client.api_key.path, client.api_key.read
    systemd = os.environ.get("CREDENTIALS_DIRECTORY")
    if path is None or read is None or flags["api_key_env"] or (systemd and path.parent == Path(systemd)):
        raise click.UsageError("--rotate-key-every needs --api-key-file: the next secret is written into that file")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError("--rotate-key-every needs a folder where this user may replace the key's file")
    every = flags["rotate_key_every"]
    return KeyRotation(path, read, source.next_key, mailbox, every, wall=wall_clock, chance=draw, log=log)


def _plan(targets: Targets, log: Callable[[str], None]) -> "Plan":
    from hourpass.client.agent.delivery import Plan
    from hourpass.client.agent.hooks import Hooks

    token_file = str(Path(targets.sinks[0].path).absolute()) if targets.sinks else None
    hooks = Hooks(targets.hooks, environment=hook_environment(os.environ, token_file), log=log)
    return Plan([settings.sink() for settings in targets.sinks], hooks)


_FOR_HOOKS = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def hook_environment(environ: Mapping[str, str], token_file: str | None) -> dict[str, str]:
    """The environment of hooks. It is a short list, because any other variable may hold the API key."""
    kept = {name: environ[name] for name in _FOR_HOOKS if name in environ}
    return {**kept, "HOURPASS_TOKEN_FILE": token_file} if token_file else kept


def _services(served: "Agent", flags: Mapping[str, Any]) -> Iterator[AbstractContextManager[object]]:
    from hourpass.client.agent.socket import LoopbackSocket, UnixSocket

    if flags["socket"]:
        yield UnixSocket(flags["socket"], served, {os.geteuid(), *flags["allow_uid"]})
    if flags["listen"]:
        host, _, port = flags["listen"].rpartition(":")
        if not flags["listen_secret_file"]:
            raise ConfigurationError("listen needs listen_secret_file, because anyone on this host can reach a port")
        if not port.isdecimal() or int(port) > 65_535:
            raise ConfigurationError("listen must be 127.0.0.1:PORT")
        try:
            secret = Path(flags["listen_secret_file"]).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"{flags['listen_secret_file']} cannot be read") from None
        yield LoopbackSocket(host, int(port), served, secret)


_MEANINGS: "dict[str, Message]" = {"SIGTERM": "stop", "SIGINT": "stop", "SIGHUP": "reload", "SIGUSR1": "refresh"}


@contextmanager
def _signals(mailbox: "Mailbox") -> Iterator[None]:
    before = {}
    descriptor = signal.set_wakeup_fd(mailbox.wakeup_descriptor(), warn_on_full_buffer=False)
    for name, message in _MEANINGS.items():
        number = getattr(signal, name)
        before[number] = signal.signal(number, lambda *_, message=message: mailbox.put(message))
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
