"""The reference leaves nothing out, and makes nothing up: options, variables, exceptions, and the commands in prose.

`test_operating_pages.py` and `test_contract_page.py` have the tables of settings, metrics, events, routes and answers.
"""

import inspect
import re
import runpy

import click
import pytest
from tests.docs.test_operating_pages import COMMANDS, commands

from hourpass.cli import command
from hourpass.cli.completion import VARIABLE
from hourpass.client.agent.metrics import metrics
from hourpass.core import errors

ERRORS = "docs/reference/errors.md"
EXCEPTIONS = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}

EXAMPLES = {"HOURPASS_SERVICE_PORT"}
"""Variables that Kubernetes sets for a Service of some name."""


def flags() -> set[str]:
    """Every option of every command, those that are the opposite of another too."""
    found = [command, *commands().values()]
    options = [one for each in found for one in each.params if isinstance(one, click.Option)]
    return {flag for one in options for flag in (*one.opts, *one.secondary_opts)} | {"--help", "--version"}


@pytest.fixture(scope="module")
def sections(root) -> dict[str, str]:
    """What the site puts in the place of `<!-- commands -->`: a text for each command."""
    lines = runpy.run_path(str(root / "docs" / "conf.py"))["command_reference"](command, "hourpass")
    found = re.split(r"^### ", "\n".join(lines), flags=re.MULTILINE)[1:]
    return {section.splitlines()[0]: section for section in found}


def test_every_command_has_a_section_in_the_reference_of_the_site(sections, pages):
    assert "<!-- commands -->" in pages[COMMANDS]
    assert sections.keys() == commands().keys()


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_in_its_section(name, sections):
    options = [one for one in commands()[name].params if isinstance(one, click.Option) and not one.hidden]

    assert [one.name for one in options if f"| `{one.opts[0]}" not in sections[name]] == []


def test_every_option_on_a_page_of_the_reference_is_one_of_a_command(pages, code):
    """None is made up, and none has kept its old name."""
    for page, text in pages.items():
        if page.startswith("docs/reference/"):
            named = {flag for words in code(text) for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", words)}
            assert named <= flags(), page


def test_every_command_that_prose_names_is_one(pages, code):
    groups = {" ".join(name.split()[:end]) for name in commands() for end in range(1, len(name.split()) + 1)}
    history = {page for page in pages if page == "CHANGELOG.md" or page.startswith("docs/decisions/")}
    for page in pages.keys() - history:
        for words in code(pages[page]):
            if re.match(r"hourpass [a-z]", words):
                typed = [word for word in words.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
                assert " ".join(typed[:2]) in groups, f"{page}: {words}"


def test_every_variable_of_the_program_is_on_a_page(root, pages):
    read = {
        name
        for path in (root / "src").rglob("*.py")
        for name in re.findall(r"\bHOURPASS_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    }
    told = "".join(pages.values())

    assert len(read) > 8
    assert {name for name in read - EXAMPLES if f"`{name}`" not in told and f"{name}=" not in told} == set()
    assert VARIABLE not in told, "only the completion scripts set it"


def test_every_exception_that_python_programs_meet_is_in_the_table_with_its_code(table, code):
    """The server answers the other refusals over HTTP, and the contract has those."""
    rows = {code(row[0])[0]: code(row[1])[0] for row in table(ERRORS, "Exception")}
    met = {kind for kind in EXCEPTIONS if not issubclass(kind, errors.Refused)} - {errors.HourpassError}

    assert {kind.__name__: kind.code for kind in met}.items() <= rows.items()
    assert rows.items() <= {kind.__name__: kind.code for kind in EXCEPTIONS}.items()


def test_the_drawing_of_the_exceptions_is_the_tree(pages):
    drawn = re.search(r"```\w*\n(HourpassError\n.*?)```", pages[ERRORS], re.DOTALL)[1]
    path: list[str] = []
    for line in drawn.splitlines():
        name = re.search(r"[A-Za-z…]+", line)
        depth = (name.start() + 1) // 3
        path[depth:] = [name[0]]
        if depth and name[0] != "…":
            assert getattr(errors, name[0]).__base__.__name__ == path[depth - 1]


def test_every_metric_of_the_agent_is_in_its_table(table, code):
    exported = re.findall(r"""\(\s*"(\w+)",\s*"(?:gauge|counter)\"""", inspect.getsource(metrics))
    rows = {code(row[0])[0] for row in table("docs/how-to/agent.md", "Metric")}

    assert len(exported) >= 8
    assert rows == {f"hourpass_agent_{name}" for name in exported}
