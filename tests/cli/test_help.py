"""Every command, argument and flag says what it is for."""

import click
import pytest

from hourpass.cli import command


def commands(group: click.Group = command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command by the words that one types, the groups included."""
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


def test_the_list_names_every_command_in_three_groups(hourpass):
    """Everyday commands, server, client."""
    listed = hourpass("--help").stdout
    titles = ["Everyday commands:", "Server:", "Client:"]

    positions = [listed.index(f"\n{title}\n") for title in titles]
    assert positions == sorted(positions)
    lines = [line for line in listed[positions[0] :].splitlines() if line and line not in titles]
    assert [line.split()[0] for line in lines] == [path[0] for path in COMMANDS if len(path) == 1]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("key", "create"), "keys"),
        (("key",), "keys"),
        (("tokn",), "token"),
        (("signing-key", "list"), "signing-keys"),
        (("server",), "serve"),
        (("grant", "list"), "grants"),
        (("keys", "creat"), "create"),
        (("keys", "lst"), "list"),
        (("signing-keys", "rotat"), "rotate"),
        (("credential", "kubctl"), "kubectl"),
        (("install", "cron"), "crontab"),
        (("config", "shw"), "show"),
        (("keys", "list", "--jsn"), "--json"),
        (("serve", "--prot", "1"), "--port"),
        (("token", "--api-key-fil", "x"), "--api-key-file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(hourpass, typed, meant):
    result = hourpass(*typed, code=2)

    assert result.stdout == ""
    hint = result.stderr.split("No such ")[1].split("Did you mean ")[1]
    assert f"'{meant}'" in hint


@pytest.mark.parametrize("typed", [("xyzzy",), ("keys", "xyzzy"), ("keys", "list", "--xyzzy")], ids=" ".join)
def test_a_word_that_is_near_nothing_is_a_usage_error_all_the_same(hourpass, typed):
    result = hourpass(*typed, code=2)

    assert "No such " in result.stderr
    assert "Did you mean" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("keys",), ("config",)], ids=["nothing", "keys", "config"])
def test_a_command_that_lacks_its_verb_shows_help_and_is_a_usage_error(hourpass, arguments):
    result = hourpass(*arguments, code=2)

    assert result.stdout == ""
    assert result.stderr.startswith("Usage: hourpass")
