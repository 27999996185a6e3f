"""The client's commands do what the pages say."""

import re
import subprocess
from pathlib import Path

import click
from tests.conftest import HOURPASS

from hourpass.cli.client.client import LOCK_TIMEOUT, LOGIN_REQUIRED, NO_TOKEN, STILL_VALID, USAGE
from hourpass.cli.client.token import token
from hourpass.server.settings.loading import CLIENT_VARIABLES, is_clients

DOCS = Path(__file__).parents[2] / "docs"


def options() -> dict[str, str | None]:
    """A flag, and the variable that stands for it."""
    found = [one for one in token.params if isinstance(one, click.Option) and not one.hidden]
    return {one.opts[0]: one.envvar for one in found if one.name not in ("min_valid", "as_json")}


def test_every_option_and_its_variable_is_in_the_table():
    page = (DOCS / "reference" / "commands.md").read_text().partition("## The client's commands")[2]
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (?:`(HOURPASS_\w+)` )?\|", page, re.MULTILINE)

    assert {option: variable or None for option, variable in rows} == options()


def test_every_variable_is_on_a_page():
    pages = "".join(path.read_text() for path in DOCS.rglob("*.md"))

    assert [name for name in sorted(CLIENT_VARIABLES) if f"`{name}`" not in pages] == []
    assert {name for name in options().values() if name} <= CLIENT_VARIABLES


def test_every_exit_code_is_explained():
    rows = re.findall(r"^\| (\d+) \|", (DOCS / "how-to" / "stay-authenticated.md").read_text(), re.MULTILINE)

    assert [int(row) for row in rows] == [0, STILL_VALID, NO_TOKEN, LOGIN_REQUIRED, LOCK_TIMEOUT, USAGE]


def test_the_operators_commands_pass_over_the_clients_variables():
    assert all(map(is_clients, CLIENT_VARIABLES))
    assert is_clients("HOURPASS_AGENT_SINK")
    assert not is_clients("HOURPASS_PORT")


def test_the_page_and_its_picture_name_the_minutes_of_the_entries_that_are_made():
    arguments = ["--url", "https://auth.example.com", "--api-key-file", "/etc/hourpass/api-key"]
    made = {
        kind: subprocess.run([HOURPASS, "install", kind, *arguments], capture_output=True, text=True, check=True).stdout
        for kind in ("crontab", "systemd")
    }
    minutes = {*re.findall(r"^\*/(\d+) ", made["crontab"], re.MULTILINE), *re.findall(r"=\*:0/(\d+)", made["systemd"])}
    page = (DOCS / "how-to" / "stay-authenticated.md").read_text()
    picture = (DOCS / "strategies.svg").read_text()

    assert set(re.findall(r"runs every (\d+) min", page)) == minutes
    assert re.findall(r"every (\d+) min", picture) == [*minutes] * 2
    [looks] = re.findall(r'class="idle" d="([^"]+)"', picture)
    first, second = (int(x) for x in re.findall(r"M(\d+) ", looks)[:2])
    assert second - first == 680 * int(*minutes) * 60 / 3600, "680 pixels are 3600 seconds"
