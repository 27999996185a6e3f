"""`hourpass console`: the link, and what it says if no browser could follow one."""

import json

import pytest
from tests.conftest import run_command

from hourpass.core.sign_in import LINK_LIFETIME
from hourpass.server.console.answers import refusal_page


def console(folder, *flags: str, check: bool = True):
    return run_command("console", "--data", str(folder), *flags, check=check)


@pytest.fixture(scope="module")
def folder(desk):
    """A data folder with a database in it."""
    return desk.server.data


def test_the_link_is_all_of_stdout_and_the_advice_is_on_stderr(folder):
    done = console(folder)

    [line] = done.stdout.splitlines()
    assert line.startswith("http://127.0.0.1:3601/console/sign-in/")
    assert len(line.rpartition("/")[2]) == 43, "256 random bits"
    assert str(LINK_LIFETIME // 1_000) in done.stderr


def test_every_link_is_another_one(folder):
    assert console(folder).stdout != console(folder).stdout


def test_json_has_the_link_and_its_end(folder):
    made = json.loads(console(folder, "--json").stdout)

    assert made.keys() == {"url", "expires_at"}
    assert made["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("0.0.0.0:3601", "http://localhost:3601/"),
        ("[::]:3601", "http://localhost:3601/"),
        ("10.0.0.5:4000", "http://10.0.0.5:4000/"),
        ("[2001:db8::1]:4000", "http://[2001:db8::1]:4000/"),
    ],
)
def test_the_link_leads_to_where_a_browser_reaches_the_listener(folder, listen, url):
    assert console(folder, "--admin-listen", listen).stdout.startswith(f"{url}console/sign-in/")


def test_the_url_that_you_say_wins(folder):
    given = console(folder, "--admin-listen", "unix:/run/hourpass/admin.sock", "--url", "https://admin.example.com/")

    assert given.stdout.startswith("https://admin.example.com/console/sign-in/")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "x", "ftp://a", "http://", "http://a/x?y", "http://a#b", "http://u@a"]
)
def test_a_url_to_which_no_path_can_be_added_is_refused(folder, url):
    refused = console(folder, "--url", url, check=False)

    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_unix_socket_needs_a_forwarded_port(folder):
    refused = console(folder, "--admin-listen", "unix:/run/hourpass/admin.sock", check=False)

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "ssh -L 3601:/run/hourpass/admin.sock" in refused.stderr


def test_without_an_admin_listener_there_is_no_console(folder):
    refused = console(folder, "--admin-listen", "off", check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "admin_listen" in refused.stderr


def test_a_folder_without_a_database_is_an_error(tmp_path):
    refused = console(tmp_path, check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no database" in refused.stderr


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 421, 422, 429, 500, 503])
@pytest.mark.parametrize("detail", ["", "the <b>detail</b>"])
def test_every_refusal_has_a_page_that_says_what_it_is(status, detail):
    reply = refusal_page(status, detail, [(b"retry-after", b"7")], "0123456789abcdef")
    page = reply.body.decode()

    assert (reply.status, (b"retry-after", b"7") in reply.headers) == (status, True)
    assert f">{status}<" in page
    assert "0123456789abcdef" in page
    assert "The &lt;b&gt;detail" in page if detail else "server’s log" in page
