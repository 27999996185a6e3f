"""The `hourpass` command. Groups are imported when they are used, so that the command starts quickly."""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from hourpass import __version__
from hourpass.cli.completion import VARIABLE, offer
from hourpass.cli.no_secrets import refuse_secrets, struck_out, without_secrets
from hourpass.core.errors import ConfigurationError, ExtraMissing, HourpassError

SECTIONS = {
    "Everyday commands": {
        "keys": ("hourpass.cli.operator.keys", "Create, list and revoke API keys."),
        "grants": ("hourpass.cli.operator.grants", "List, show and revoke grants."),
        "tokens": ("hourpass.cli.operator.tokens", "Explain and revoke tokens."),
        "audit": ("hourpass.cli.operator.audit", "Show the audit trail."),
        "webhooks": ("hourpass.cli.operator.webhooks", "Send events to URLs."),
        "overview": ("hourpass.cli.operator.overview", "Show numbers, and what needs attention."),
        "demo": ("hourpass.cli.demo.demo", "Start a server with a small protected API and a first key."),
        "completion": ("hourpass.cli.completion", "Print the script that completes this command in a shell."),
    },
    "Server": {
        "serve": ("hourpass.cli.operator.serve", "Start the server."),
        "health": ("hourpass.cli.operator.health", "Ask the running server whether it is ready."),
        "config": ("hourpass.cli.operator.config", "Show and check the settings."),
        "console": ("hourpass.cli.operator.console", "Print a link that signs you in to the console."),
        "signing-keys": ("hourpass.cli.operator.signing_keys", "List, rotate and withdraw the keys that sign."),
        "master-key": ("hourpass.cli.operator.master_key", "Show and replace the key that seals the secrets."),
        "secrets": ("hourpass.cli.operator.secrets", "Show, rotate and retire the server's own secrets."),
        "migrate": ("hourpass.cli.operator.migrate", "Bring the database's schema up to date."),
        "copy": ("hourpass.cli.operator.copy", "Copy everything into another, empty database."),
        "backup": ("hourpass.cli.operator.backup", "Write everything but the master key into a file."),
        "restore": ("hourpass.cli.operator.backup", "Fill an empty installation from such a file."),
    },
    "Client": {
        "token": ("hourpass.cli.client.token", "Print a token: from the agent, the cache or the server."),
        "auth-header": ("hourpass.cli.client.token", "Print the header Authorization: Bearer …"),
        "refresh": ("hourpass.cli.client.refresh", "Refresh the cached token: the cron job's one line."),
        "agent": ("hourpass.cli.client.agent", "Keep a token fresh, and hand it on."),
        "run": ("hourpass.cli.client.run", "Run a command beside a token file that is kept fresh."),
        "credential": ("hourpass.cli.client.credential", "Hand tokens to git, docker and kubectl."),
        "install": ("hourpass.cli.client.install", "Print or write the job that refreshes on a schedule."),
        "doctor": ("hourpass.cli.client.doctor", "Look for trouble with the client."),
    },
}
"""Section of the help -> command -> its module and its line of help."""

OVER_SERVER = frozenset({"keys", "grants", "tokens", "audit", "webhooks", "overview", "signing-keys"})
"""The commands that work over `--server` as well as on a database of this machine."""

NEVER_OVER_SERVER = frozenset({"keys pattern"})
"""What is below them and works on this machine alone."""

_MODULES = {name: module for section in SECTIONS.values() for name, (module, _) in section.items()}


class _Commands(click.Group):
    """Knows every command by name, and imports only the one that you call."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        refuse_secrets(args, by_file=not SECTIONS["Client"].keys().isdisjoint(args[:1]))
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise without_secrets(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise _stands_before(error) or without_secrets(error) from None
        except click.UsageError as error:
            raise without_secrets(error) from None
        except ModuleNotFoundError as error:
            raise _extra_missing(ctx.invoked_subcommand or "", error) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        try:
            module = import_module(_MODULES[cmd_name])
        except ModuleNotFoundError as error:
            raise _extra_missing(cmd_name, error) from None
        except ImportError as error:
            # The system lacks something that the command needs.
            raise ConfigurationError(error.msg) from None
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        # A group of click's would import every command for its line of help.
        named = {name: help_text for section in SECTIONS.values() for name, (_, help_text) in section.items()}
        offered = [CompletionItem(name, help=text) for name, text in named.items() if name.startswith(incomplete)]
        return [*offered, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, help_text) for name, (_, help_text) in section.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Click suggests only commands that are loaded, and none of ours is loaded yet.
        if args[0] not in _MODULES and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=_MODULES, ctx=ctx)
        if not ctx.resilient_parsing and not {"-h", "--help"} & set(args):
            _refuse_server(ctx, args)
        return super().resolve_command(ctx, args)


def _refuse_server(ctx: click.Context, args: list[str]) -> None:
    """Refuse `--server` for a command that has no use for it: it would work on something else than you mean."""
    name, below = args[0], " ".join(args[:2])
    if not ctx.params.get("server") or (name in OVER_SERVER and below not in NEVER_OVER_SERVER):
        return
    by_variable = ctx.get_parameter_source("server") is ParameterSource.ENVIRONMENT
    if name in SECTIONS["Client"] or name == "completion":
        if not by_variable:
            raise click.UsageError(f"--server is for the operator's commands, and {name} is not one of them")
        return
    said = "unset HOURPASS_SERVER" if by_variable else "leave --server out"
    raise click.UsageError(f"{below if name in OVER_SERVER else name} works on this machine alone: {said}")


def _stands_before(error: click.NoSuchOption) -> click.UsageError | None:
    """What to say of an option of `hourpass` itself that stands behind a command. None for every other option."""
    values = {"--server": "URL", "--admin-key-file": "FILE"}
    value = values.get(error.option_name)
    if value is None or error.ctx is None:
        return None
    program, _, command = error.ctx.command_path.partition(" ")
    name = error.option_name
    return click.UsageError(f"{name} stands before the command: {program} {name} {value} {command}", error.ctx)


def _extra_missing(command: str, error: ModuleNotFoundError) -> HourpassError:
    """What to say when a library is not installed that a command needs."""
    if (error.name or "hourpass").startswith("hourpass"):
        raise error
    extra = "client" if ".cli.client." in _MODULES[command] else "server"
    return ExtraMissing.of(extra, f"{command} needs an extra ({error.name} is missing)")


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="hourpass %(version)s")
@click.option(
    "--server",
    metavar="URL",
    envvar="HOURPASS_SERVER",
    show_envvar=True,
    help="work on the server behind this admin listener, and not on a database of this machine",
)
@click.option(
    "--admin-key-file",
    metavar="FILE",
    envvar="HOURPASS_ADMIN_KEY_FILE",
    show_envvar=True,
    help="file with your admin key, for --server",
)
def command(server: str | None, admin_key_file: str | None) -> None:
    """Keep the key at home. Send an hour pass."""


def main() -> None:
    """Run the command. Exit codes: 0 done, 1 failed, 2 wrong usage or a missing extra. `cli.client` has its own."""
    _open_what_is_closed()
    try:
        try:
            if VARIABLE in os.environ:
                offer(command)
                return
            command(prog_name="hourpass", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except ExtraMissing as error:
        _fail(error.detail, code=2)
    except HourpassError as error:
        _fail(struck_out(error.detail or error.code))
    except UnicodeEncodeError:
        _fail("an argument is not UTF-8")
    except BrokenPipeError:
        _fail("")  # the reader has read enough
    except OSError as error:
        _fail(error.strerror or str(error))


def _open_what_is_closed() -> None:
    """Open the standard streams that the caller closed, so that no other file gets their numbers.

    Otherwise a library that writes to stderr could write into the database.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _fail(words: str, code: int = 1) -> NoReturn:
    from hourpass.cli.terminal import say

    if words:
        say(f"hourpass: {words}")
    # Drop what could not be written: the interpreter would try to write it again on its way out.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
