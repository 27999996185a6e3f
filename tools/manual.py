"""Writes the manual pages and the completion scripts that the wheel carries, from the commands themselves.

A page for `hourpass` and for each word that can follow it: `hourpass-keys(1)` has every command of `keys`.
"""

import inspect
import re
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from hourpass import __version__
from hourpass.cli import SECTIONS
from hourpass.cli import command as hourpass
from hourpass.cli.completion import script

COMPLETIONS = {
    "bash": "bash-completion/completions/hourpass",
    "zsh": "zsh/site-functions/_hourpass",
    "fish": "fish/vendor_completions.d/hourpass.fish",
}
"""Where each shell looks, below /usr/share or a folder like it."""

STATUS = {
    "0": "Done.",
    "1": "Failed.",
    "2": "Wrong usage, or an extra of the package is missing.",
    "10, 20, 30, 40": "A command of the client has no fresh token. Its page says what each means.",
}


def write(share):
    """Write everything below a share folder."""
    files = {f"man/man1/{name}.1": page for name, page in pages().items()}
    files |= {place: script(shell) for shell, place in COMPLETIONS.items()}
    for place, text in files.items():
        path = Path(share, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def pages():
    """The text of each manual page by its name."""
    top = click.Context(hourpass, info_name="hourpass")
    commands = [
        click.Context(hourpass.get_command(top, name), info_name=name, parent=top)
        for name in hourpass.list_commands(top)
    ]
    found = {"hourpass": first_page(top, [name_of(one) for one in commands])}
    return found | {name_of(one): page_of(one) for one in commands}


def first_page(context, others):
    listed = []
    for title, section in SECTIONS.items():
        listed += [f".SS {plain(title)}"]
        for name, (_, words) in section.items():
            listed += [".TP", f".BR hourpass\\-{plain(name)} (1)", plain(words)]
    status = [line for code, words in STATUS.items() for line in (".TP", f".B {code}", plain(words))]
    return page(
        context,
        SYNOPSIS=usage_of(context),
        DESCRIPTION=description_of(context),
        COMMANDS=listed,
        OPTIONS=options_of(context),
        **{"EXIT STATUS": status, "SEE ALSO": references(others)},
    )


def page_of(context):
    below = [
        click.Context(context.command.get_command(context, name), info_name=name, parent=context)
        for name in (context.command.list_commands(context) if isinstance(context.command, click.Group) else ())
    ]
    alone = not below or getattr(context.command, "invoke_without_command", False)
    chapters = {one.info_name.upper(): [*description_of(one), *options_of(one)] for one in below}
    return page(
        context,
        SYNOPSIS=[line for one in [*([context] if alone else []), *below] for line in usage_of(one)],
        DESCRIPTION=description_of(context),
        **({"OPTIONS": options_of(context)} if alone else {}),
        **chapters,
        **{"SEE ALSO": references(["hourpass"])},
    )


def page(context, **chapters):
    """A page in man(7), which every reader of manual pages knows. A chapter that is empty is left out."""
    title = context.command.get_short_help_str(limit=200).rstrip(".")
    lines = [f'.TH {name_of(context).upper()} 1 "" "hourpass {__version__}" "hourpass"', ".nh", ".ad l"]
    lines += [".SH NAME", f"{plain(name_of(context))} \\- {plain(title)}"]
    for heading, chapter in chapters.items():
        lines += [f".SH {plain(heading)}", *chapter[chapter[:1] == [".PP"] :]] if chapter else []
    return "\n".join(lines) + "\n"


def name_of(context):
    return context.command_path.replace(" ", "-")


def usage_of(context):
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return [".PP", f"\\fB{plain(context.command_path)}\\fR {plain(pieces)}"]


def description_of(context):
    lines = []
    for paragraph in inspect.cleandoc(context.command.help).split("\n\n"):
        verbatim, words = paragraph.startswith("\b\n"), plain(paragraph.removeprefix("\b\n"))
        lines += [".PP", ".nf", words, ".fi"] if verbatim else [".PP", words]
    return lines


def options_of(context):
    records = [
        option.get_help_record(context)
        for option in context.command.get_params(context)
        if "--help" not in option.opts or context.parent is None
    ]
    return [line for names, words in filter(None, records) for line in (".TP", f"\\fB{plain(names)}\\fR", plain(words))]


def references(names):
    return [f".BR {plain(name)} (1)" for name in sorted(names)]


def plain(text):
    """A text in which nothing is a request or an escape, but for what stands in backquotes, which becomes bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


if __name__ == "__main__":
    write(sys.argv[1])
