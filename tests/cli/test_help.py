"""Everything that can be typed says what it is for."""

import click
import pytest

from hourpass.cli import command


def commands(group: click.Group = command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command by what has to be typed to reach it, the groups included."""
    found: dict[tuple[str, ...], click.Command] = {path: group}
    context = click.Context(group)
    for name in group.list_commands(context):
        child = group.get_command(context, name)
        if isinstance(child, click.Group):
            found |= commands(child, (*path, name))
        else:
            found[*path, name] = child
    return found


COMMANDS = commands()
each_command = pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(("hourpass", *path)))


@each_command
def test_every_command_says_what_it_does(path):
    assert COMMANDS[path].get_short_help_str(), path


@each_command
def test_every_option_says_what_it_means(path):
    options = [option for option in COMMANDS[path].params if isinstance(option, click.Option)]

    assert [option.name for option in options if not option.help] == []


@each_command
def test_help_goes_to_stdout_and_is_a_success(hourpass, path):
    result = hourpass(*path, "--help")

    assert result.stdout.startswith(f"Usage: {' '.join(('hourpass', *path))}")
    assert result.stderr == ""


def test_the_short_flag_asks_for_help_too(hourpass):
    assert hourpass("-h").stdout == hourpass("--help").stdout


def test_the_list_names_every_command(hourpass):
    listed = hourpass("--help").stdout.split("Commands:")[1]

    assert [line.split()[0] for line in listed.strip().splitlines()] == [path[0] for path in COMMANDS if len(path) == 1]


@pytest.mark.parametrize("arguments", [(), ("keys",), ("config",)], ids=["nothing", "keys", "config"])
def test_a_command_that_lacks_its_verb_shows_help_and_is_a_usage_error(hourpass, arguments):
    result = hourpass(*arguments, code=2)

    assert result.stdout == ""
    assert result.stderr.startswith("Usage: hourpass")
