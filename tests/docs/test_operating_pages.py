"""The operator's pages are complete: settings, commands, audit events, metrics. None is missing, none is made up."""

import re
import shlex

import click
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hourpass.admin.audit_detail import told_detail
from hourpass.admin.operations import OPERATIONS
from hourpass.cli import command
from hourpass.core.event_names import NAMES
from hourpass.server.settings.settings import described
from hourpass.server.telemetry.metrics import METRICS as METRICS_TABLE
from hourpass.server.telemetry.metrics import Counter, Gauge, Requests
from hourpass.testing import InMemoryServer

OPERATE = "docs/how-to/operate.md"
METRICS = "docs/reference/metrics.md"
SETTINGS = "docs/reference/settings.md"
EVENTS = "docs/reference/events.md"
ADMIN_API = "docs/reference/admin-api.md"
COMMANDS = "docs/reference/commands.md"
COMPUTED = {
    "claim_headers",
    "github_leak_keys",
    "listen",
    "data",
    "database_url",
    "issuer",
    "audience",
    "master_key",
    "master_key_command",
    "path_prefix",
    "admin_hosts",
    "cors_origins",
    "accept_api_keys",
}
"""Settings whose default is described in words."""


def commands(group: click.Command = command, path: str = "hourpass") -> dict[str, click.Command]:
    """Every command that does something, by what one types."""
    if not isinstance(group, click.Group):
        return {path: group}
    context = click.Context(group)
    found: dict[str, click.Command] = {path: group} if group.invoke_without_command else {}
    for name in group.list_commands(context):
        found |= commands(group.get_command(context, name), f"{path} {name}")
    return found


def flags_of(named: str) -> set[str]:
    return {flag for parameter in commands()[named].params for flag in parameter.opts if flag.startswith("-")}


def command_lines(text: str) -> list[str]:
    """The lines of a page's shell blocks that call the command."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    return [line for line in lines if line.startswith("hourpass ")]


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


def test_every_route_of_the_admin_api_is_in_the_table_with_its_scope(table, code):
    rows = [[code(route)[0], scope.strip("`"), *more] for route, scope, *more in table(ADMIN_API, "Route")]

    scopes = {f"{each.method} {each.path}": each.scope or "any" for each in OPERATIONS}
    delegated = {f"{each.method} {each.path}": "yes" if each.delegated else "no" for each in OPERATIONS}
    assert {route: more[0] for route, _, *more in rows if len(more) == 2} == delegated
    assert [(route, scope) for route, scope, *_ in rows if scopes[route] != scope] == []


def test_every_flag_of_making_a_key_is_in_the_table(table, code):
    general = {"--config", "--data", "--database", "--json"}

    assert {code(row[0])[0] for row in table(COMMANDS, "Flag")} == flags_of("hourpass keys create") - general


def test_every_command_line_is_one_that_the_command_understands(pages):
    lines = [line for text in pages.values() for line in command_lines(text)]

    assert len(lines) > 5
    for line in lines:
        words = shlex.split(re.split(r" (?:2?[<|>]|&)(?: |$)", line)[0])
        named = max((name for name in commands() if line.startswith(name)), key=len)
        arguments = words[len(named.split()) :]
        commands()[named].make_context(named, arguments)


def test_every_audit_event_is_in_the_table_with_its_members(table, code):
    documented = {code(row[0])[0]: code(row[1]) for row in table(EVENTS, "Event")}

    # Every event has an actor, so the table does not repeat it.
    kinds = {
        name: list(told_detail(dict.fromkeys(member for member in kind._fields if member != "actor")))
        for kind, name in NAMES.items()
    }
    assert documented == kinds


def metric_rows(page: str) -> list[list[str]]:
    """The rows of the tables of metrics: name, labels, rule for workers, meaning, when to look."""
    lines = [line for line in page.splitlines() if re.match(r"\| `(?:hourpass|process)_", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


async def exposition() -> list[Metric]:
    async with InMemoryServer() as server:
        return list(text_string_to_metric_families(server.app.metrics().decode()))


@pytest.mark.anyio
async def test_every_metric_is_in_the_table_with_its_labels(pages, code):
    families = await exposition()
    names = [{label for sample in family.samples for label in sample.labels} - {"le"} for family in families]
    exported = {
        family.name + "_total" * (family.type == "counter"): labels
        for family, labels in zip(families, names, strict=True)
    }

    rows = metric_rows(pages[METRICS])
    assert {code(name)[0]: set(code(labels)) for name, labels, *_ in rows} == exported


@pytest.mark.anyio
async def test_every_value_of_a_label_of_a_metric_is_named(pages, code):
    told = [sample.labels for family in await exposition() for sample in family.samples]
    values = {
        value for labels in told for name, value in labels.items() if name not in ("le", "version", "python", "route")
    }

    assert values - set(code(pages[METRICS])) <= {"sqlite"}


@pytest.mark.parametrize("metric", METRICS_TABLE, ids=lambda metric: metric.name)
def test_the_rule_for_workers_in_the_table_is_the_metrics(metric, pages):
    name = metric.name + "_total" * isinstance(metric, (Counter, Requests))
    [told] = [rule for row_of, _, rule, *_ in metric_rows(pages[METRICS]) if row_of == f"`{name}`"]

    assert told == (metric.rule if isinstance(metric, Gauge) else "add up")


@pytest.mark.anyio
async def test_every_readiness_check_is_named(pages, code):
    async with InMemoryServer() as server:
        checks = await server.app.readiness(server.clock())

    assert checks.keys() <= set(code(pages[OPERATE]))
