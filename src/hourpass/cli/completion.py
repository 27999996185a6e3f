"""`hourpass completion`: the script that lets a shell complete commands, options and choices. click knows the shells.

Completing imports the one command that is being typed. It opens no database and asks no server.
"""

import os
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, get_completion_class

from hourpass.cli.no_secrets import refuse_secrets
from hourpass.core.errors import HourpassError

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "hourpass"
VARIABLE = "_HOURPASS_COMPLETE"
"""Set by the scripts when they ask what can be typed next. Its value names the shell."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes this command in SHELL: bash, zsh or fish.

    In ~/.bashrc: eval "$(hourpass completion bash)"; in ~/.zshrc: eval "$(hourpass completion zsh)"; in
    ~/.config/fish/config.fish: hourpass completion fish | source
    """
    print(script(shell), end="")


def script(shell: str) -> str:
    """The completion script of a shell."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click has these three
    template = found(click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
    source: str = template.source_template % template.source_vars()
    # The shell itself sets the variables. As arguments of `env`, the words would be in the list of processes.
    return source.replace("(env ", "(")


def offer(command: click.Command) -> None:
    """Print what can be typed next, or nothing if anything is wrong: a message would land in the line being typed."""
    shell = os.environ.get(VARIABLE, "").removesuffix("_complete")
    found = get_completion_class(shell)
    if found is not None:
        with suppress(click.ClickException, HourpassError):
            completing = found(command, {}, PROGRAM, VARIABLE)
            arguments, incomplete = completing.get_completion_args()
            refuse_secrets([*arguments, incomplete])
            offered = completing.get_completions(arguments, incomplete)
            offered = offered or [CompletionItem(incomplete, type="file")]
            print("\n".join(map(completing.format_completion, offered)))
