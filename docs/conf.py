"""The documentation site, which `make docs` builds from the repository's Markdown. A page has the same path in both.

The pages are plain Markdown for readers on a git host. The site adds two things as it reads a page: the menu, from the
links of an index page, and in the place of certain comments what the code says about itself.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

from hourpass.cli import command
from hourpass.server.endpoints.admin_openapi import describe_admin

project = "hourpass"
author = "the hourpass authors"
version = release = version_of("hourpass")
language = "en_GB"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/*/*.md",
    "bench/README.md",
    "deploy/README.md",
    "examples/README.md",
    "examples/*/README.md",
]
exclude_patterns = [".*", "build", "src", "tests", "bench/peers", "requirements"]
root_doc = "docs/index"
suppress_warnings = ["misc.highlighting_failure"]
"""An example may leave something out."""

highlight_language = "text"
myst_heading_anchors = 4
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 90
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"hourpass {version}"
html_static_path = ["_static"]
html_css_files = ["hourpass.css"]
html_js_files = ["hourpass.js"]
html_search_scorer = str(Path(__file__).with_name("search_scorer.js"))
html_additional_pages = {"index": "front.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Sphinx calls this once."""
    app.connect("source-read", add_what_only_the_site_has)
    app.connect("autodoc-process-signature", signature_in_the_source)


def add_what_only_the_site_has(_app: Sphinx, page: str, source: list[str]) -> None:
    """Change the text of a page before it is parsed."""
    text = source[0]
    if page.endswith("/index"):
        text += menu(text)
    text = re.sub(r"<!-- python ([\w.]+): (.*?) -->", lambda found: python_reference(found[1], found[2].split()), text)
    text = text.replace("<!-- commands -->", "\n".join(command_reference(command, "hourpass")))
    source[0] = text.replace("<!-- operations -->", "\n".join(operation_reference()))


def menu(text: str) -> str:
    """The pages that an index page lists, under its headings: those beside it, other indexes, and the project's own."""
    lines: list[str] = []
    for section in text.split("\n## "):
        listed = re.findall(r"\[([^\]]+)\]\(((?:\.\./[\w/-]*[A-Z]+|[\w-]+|[\w-]+/index)\.md)\)", section)
        pages = [f"{title} <{page}>" if page.startswith("../") else page for title, page in listed]
        caption = [] if section is text or section.startswith("#") else [f":caption: {section.splitlines()[0]}"]
        lines += ["", "```{toctree}", ":hidden:", *caption, "", *pages, "```"] if pages else []
    return "\n".join([*lines, ""])


def python_reference(module: str, names: list[str]) -> str:
    """A class or a function for each name, with its docstring."""
    lines = ["```{eval-rst}", f".. currentmodule:: {module}", ""]
    for name in names:
        lines += (
            [f".. autoclass:: {name}", "   :members:", ""] if name[0].isupper() else [f".. autofunction:: {name}", ""]
        )
    return "\n".join([*lines, "```"])


def signature_in_the_source(
    _app: Sphinx, what: str, _name: str, thing: Any, *_: object
) -> tuple[str, str | None] | None:
    """Types and defaults in the words of the source. A class has those of its `__init__`."""
    called = thing.__init__ if what == "class" else thing
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(called))).body
    except (OSError, TypeError):
        return None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        if isinstance(argument.annotation, ast.Constant):
            argument.annotation = ast.parse(str(argument.annotation.value), mode="eval").body
    if what in ("class", "method"):
        node.args.args = node.args.args[1:]
    returns = ast.unparse(node.returns) if node.returns and what != "class" else None
    return f"({ast.unparse(node.args)})", returns


def command_reference(found: click.Command, path: str) -> Iterator[str]:
    """A section for each command that does something: what it says for `--help`."""
    context = click.Context(found, info_name=path)
    members = found.list_commands(context) if isinstance(found, click.Group) else []
    if not members or getattr(found, "invoke_without_command", False):
        yield from ("", f"### {path}", "", plain(found.help), "", "```text", found.get_usage(context), "```", "")
        records = [record for one in found.params if (record := one.get_help_record(context))]
        options = [(flag.replace("|", "\\|"), meaning) for flag, meaning in records]
        if options:
            yield from ("| Option | Meaning |", "|---|---|")
            yield from (f"| `{flag}` | {plain(meaning)} |" for flag, meaning in options)
    for name in members:
        member = found.get_command(context, name) if isinstance(found, click.Group) else None
        if member and not member.hidden:
            yield from command_reference(member, f"{path} {name}")


def operation_reference() -> Iterator[str]:
    """A section for each operation of the admin API, with what it asks, and one for each shape that is answered."""
    described = describe_admin()
    components = described["components"]
    asked = set()
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            scopes = told["security"][0]["admin"]
            needs = f"Needs `{scopes[0]}`." if scopes else "Any admin token is enough."
            yield from ("", f"### {method.upper()} {path}", "", f"{plain(told['summary'])} {needs}", "")
            members = [(each["name"], each["in"], each) for each in map(components_in(components), told["parameters"])]
            if body := told.get("requestBody", {}).get("content", {}).get("application/json"):
                asked.add(name_of(body["schema"]))
                found = components_in(components)(body["schema"])["properties"]
                members += [(name, "body", {"schema": each, **each}) for name, each in found.items()]
            if members:
                yield from ("| Member | In | Type | Meaning |", "|---|---|---|---|")
                for name, place, each in members:
                    yield f"| `{name}` | {place} | {type_in(each['schema'])} | {plain(each['description'])} |"
            answer = next(each for status, each in told["responses"].items() if status.startswith("2"))
            yield from ("", f"Answers {type_in(answer['content']['application/json']['schema'])}.")
    yield from ("", "## Answers", "", "The shapes of the answers, by their names in `GET /openapi.json`.")
    for name, schema in components["schemas"].items():
        if name not in asked:
            yield from ("", f"(shape-{name.lower()})=", f"### {name}", "", plain(schema["description"]), "")
            yield from ("| Member | Type | Meaning |", "|---|---|---|")
            for member, each in schema["properties"].items():
                yield f"| `{member}` | {type_in(each)} | {plain(each['description'])} |"


def name_of(schema: dict[str, Any]) -> str:
    """The name to which a schema refers."""
    return str(schema["$ref"].rpartition("/")[2])


def components_in(components: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What finds the component to which something refers. What does not refer to one is returned itself."""
    kinds = {f"#/components/{kind}/{name}": each for kind, found in components.items() for name, each in found.items()}
    return lambda each: kinds[each["$ref"]] if "$ref" in each else each


def type_in(schema: dict[str, Any]) -> str:
    """A schema in a few words of Markdown, with its bounds and its default."""
    if "$ref" in schema:
        return f"[{name_of(schema)}](#shape-{name_of(schema).lower()})"
    if "anyOf" in schema:
        words = " or ".join(dict.fromkeys(type_in(each) for each in schema["anyOf"]))
    elif "enum" in schema:
        words = ", ".join(f"`{each}`" for each in schema["enum"])
    elif schema.get("type") == "array":
        words = f"list of {type_in(schema.get('items', {}))}"
    elif isinstance(schema.get("additionalProperties"), dict):
        words = f"object of {type_in(schema['additionalProperties'])}"
    else:
        words = str(schema.get("format") or schema.get("type") or "anything")
    if "minimum" in schema:
        words += f", {schema['minimum']}" + (f" to {schema['maximum']}" if "maximum" in schema else " or more")
    default = schema.get("default")
    return words if default in (None, "", []) else f"{words}, default `{str(default).lower()}`"


def plain(text: Any) -> str:
    """A help text as Markdown that means nothing but itself. What stands in backticks is code."""
    words = " ".join(str(text or "").replace("\b", "").split())
    return re.sub(r"(`[^`]*`)|([\\*_<>\[\]|])", lambda found: found[1] or f"\\{found[2]}", words)
