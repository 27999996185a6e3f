"""The options of the client's commands, and the class of these commands.

A flag wins over the environment, and the environment over the default. This is on the quick path of `hourpass token`,
so nothing heavy is imported here.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hourpass.cli.client.api_key_source import LOOKS_LIKE_A_KEY, default_cache, find_api_key
from hourpass.cli.client.client import Client, complain, exit_code
from hourpass.core.errors import HourpassError

F = TypeVar("F", bound=Callable[..., Any])


class ClientCommand(click.Command):
    """A command that refuses an API key among its arguments and ends with the client's exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = args[: args.index("--")] if "--" in args else args
        if any(LOOKS_LIKE_A_KEY.search(argument) for argument in own):
            _refuse_key_in_arguments()
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HourpassError as error:
            complain(error)
            ctx.exit(exit_code(error, still_valid=False))


def _refuse_key_in_arguments(*arguments: object) -> None:
    if arguments and arguments[-1] is None:
        return
    raise click.UsageError(
        "every user of this machine can read an argument: treat that API key as leaked, and use --api-key-file"
    )


min_valid_option = click.option(
    "--min-valid",
    type=click.FloatRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="refresh first if less is left; at most half the lifetime",
)

_API_KEY = click.option(
    "--api-key",
    metavar="",
    hidden=True,
    expose_value=False,
    callback=_refuse_key_in_arguments,
    help="refused: every user of the machine can read arguments",
)

_OPTIONS = {
    "url": click.option("--url", envvar="HOURPASS_URL", show_envvar=True, help="the server"),
    "allow_http": click.option(
        "--allow-http",
        is_flag=True,
        envvar="HOURPASS_ALLOW_HTTP",
        show_envvar=True,
        help="send the key over plain http to another machine, in a network that nobody else can listen to",
    ),
    "api_key_file": click.option(
        "--api-key-file",
        metavar="FILE|-",
        envvar="HOURPASS_API_KEY_FILE",
        show_envvar=True,
        help="file with the API key; - is standard input",
    ),
    "api_key_command": click.option(
        "--api-key-command",
        metavar="COMMAND",
        envvar="HOURPASS_API_KEY_COMMAND",
        show_envvar=True,
        help="command that prints the API key; it runs without a shell",
    ),
    "cache": click.option(
        "--cache",
        metavar="DIR",
        envvar="HOURPASS_CACHE",
        show_envvar=True,
        help="folder of the cached tokens; best a separate one for each API key  [$XDG_CACHE_HOME/hourpass]",
    ),
    "agent": click.option(
        "--agent",
        metavar="SOCKET",
        envvar="HOURPASS_AGENT",
        show_envvar=True,
        help="get the token from the agent at this socket, not from cache or server",
    ),
    "scope": click.option("--scope", metavar='"A B"', help="ask for these scopes only"),
    "audience": click.option("--audience", help="ask for a token for this audience"),
    "timeout": click.option(
        "--timeout",
        type=click.FloatRange(0, 300),
        default=10,
        show_default=True,
        metavar="SECONDS",
        help="how long to wait for the server, or for another process that refreshes",
    ),
}


def client_options(*, agent: bool = True) -> Callable[[F], F]:
    """The options that say which token to get. The command gets them as `client`."""
    chosen = [name for name in _OPTIONS if agent or name != "agent"]

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> Any:
            given = {name: arguments.pop(name, None) for name in _OPTIONS}
            folder = given.pop("cache")
            client = Client(
                api_key=find_api_key(given.pop("api_key_file"), given.pop("api_key_command"), os.environ),
                cache=Path(folder).absolute() if folder else default_cache(os.environ),
                **given,
            )
            return command(client=client, **arguments)

        options: Any = _API_KEY(wrapper)
        for name in reversed(chosen):
            options = _OPTIONS[name](options)
        return options  # type: ignore[no-any-return]

    return decorate
