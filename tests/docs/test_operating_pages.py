"""The operator's pages are complete: settings, commands, audit events, metrics. None is missing, none is made up."""

import re
import shlex
from typing import get_args

import click
import pytest

from hourpass.cli import command
from hourpass.core.audit import Event, event_name
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.settings.settings import described
from hourpass.testing import InMemoryServer

OPERATE = "docs/how-to/operate.md"
SETTINGS = "docs/reference/settings.md"
EVENTS = "docs/reference/events.md"
COMMANDS = "docs/reference/commands.md"
COMPUTED = {
    "claim_headers",
    "github_leak_keys",
    "data",
    "database_url",
    "issuer",
    "audience",
    "master_key",
    "path_prefix",
    "cors_origins",
    "accept_api_keys",
}
"""Settings whose default is described in words."""


def commands(group: click.Command = command, path: str = "hourpass") -> dict[str, click.Command]:
    """Every command that does something, by what one types."""
    if not isinstance(group, click.Group):
        return {path: group}
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        found |= commands(group.get_command(context, name), f"{path} {name}")
    return found


def flags_of(named: str) -> set[str]:
    return {flag for parameter in commands()[named].params for flag in parameter.opts if flag.startswith("-")}


def command_lines(text: str) -> list[str]:
    """The lines of a page's shell blocks that call the command."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("hourpass ")]


def test_every_setting_is_in_the_table_with_its_flag(table, code):
    documented = {code(row[0])[0]: code(row[1])[0] for row in table(SETTINGS, "Setting")}
    flags = {name: "--" + name.replace("_", "-") for name in described()} | {"database_url": "--database"}

    assert documented == flags
    assert set(flags.values()) <= flags_of("hourpass serve")


@pytest.mark.parametrize("name", sorted(set(described()) - COMPUTED))
def test_a_settings_default_is_the_one_in_the_table(name, table, code):
    default = described()[name].default
    shown = " ".join(default) if isinstance(default, tuple) else str(default)
    documented = next(row[2] for row in table(SETTINGS, "Setting") if code(row[0]) == [name])

    assert code(documented) == [shown.lower() if isinstance(default, bool) else shown]


@pytest.mark.parametrize("name", [name for name, field in described().items() if field.metadata["secret"]])
def test_a_secret_settings_file_variable_is_named(name, pages):
    assert f"`HOURPASS_{name.upper()}_FILE`" in pages[SETTINGS]


def test_every_command_is_in_the_table(table, code):
    assert {code(row[0])[0] for row in table(COMMANDS, "Command")} == set(commands())


def test_every_flag_of_making_a_key_is_in_the_table(table, code):
    general = {"--config", "--data", "--database", "--json"}

    assert {code(row[0])[0] for row in table(COMMANDS, "Flag")} == flags_of("hourpass keys create") - general


def test_every_command_line_is_one_that_the_command_understands(pages):
    lines = [line for text in pages.values() for line in command_lines(text)]

    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line.split(" < ")[0])
        named = max((name for name in commands() if line.startswith(name)), key=len)
        arguments = words[len(named.split()) :]
        commands()[named].make_context(named, arguments)


def test_every_audit_event_is_in_the_table_with_its_members(table, code):
    documented = {code(row[0])[0]: code(row[1]) for row in table(EVENTS, "Event")}

    assert documented == {event_name(kind._make(kind._fields)): list(kind._fields) for kind in get_args(Event)}


@pytest.mark.anyio
async def test_every_metric_is_in_the_table_and_every_outcome_is_named(table, code, pages):
    async with InMemoryServer() as server:
        sent = []

        async def send(message):
            sent.append(message)

        await AdminApp(server.app)({"type": "http", "path": "/metrics"}, None, send)
    text = sent[1]["body"].decode()

    assert {code(row[0])[0] for row in table(OPERATE, "Metric")} == set(
        re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    )
    assert set(re.findall(r'outcome="(\w+)"', text)) <= set(code(pages[OPERATE]))


@pytest.mark.anyio
async def test_every_readiness_check_is_named(pages, code):
    async with InMemoryServer() as server:
        checks = await server.app.readiness(server.clock())

    assert checks.keys() <= set(code(pages[OPERATE]))
