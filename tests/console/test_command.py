"""`hourpass console`: the link, and what it says if no browser could follow one."""

import json

import pytest
from tests.conftest import free_port, run_command

from hourpass.cli.operator.console import url_for_browsers
from hourpass.core.sign_in import LINK_LIFETIME
from hourpass.server.console.answers import refusal_page
from hourpass.server.settings.settings import Settings


def console(desk, *flags: str, check: bool = True):
    return desk.server.command("console", *flags, check=check)


@pytest.fixture
def at(desk):
    """Where the server listens for its operators."""
    return ("--admin-listen", desk.server.admin)


def test_the_link_is_all_of_stdout_and_the_advice_is_on_stderr(desk, at):
    done = console(desk, *at)

    [line] = done.stdout.splitlines()
    assert line.startswith(f"{desk.origin}/console/sign-in/")
    assert len(line.rpartition("/")[2]) == 43, "256 random bits"
    assert str(LINK_LIFETIME // 1_000) in done.stderr


def test_every_link_is_another_one(desk, at):
    assert console(desk, *at).stdout != console(desk, *at).stdout


def test_json_has_the_link_and_its_end(desk, at):
    made = json.loads(console(desk, *at, "--json").stdout)

    assert made.keys() == {"url", "expires_at"}
    assert made["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("0.0.0.0:3601", "http://localhost:3601"),
        ("[::]:3601", "http://localhost:3601"),
        ("10.0.0.5:4000", "http://10.0.0.5:4000"),
        ("[2001:db8::1]:4000", "http://[2001:db8::1]:4000"),
    ],
)
def test_the_link_leads_to_where_a_browser_reaches_the_listener(listen, url):
    assert url_for_browsers(Settings(admin_listen=listen)) == url


def test_if_no_server_answers_there_is_no_link_and_one_sentence_says_why(desk):
    listen = f"127.0.0.1:{free_port()}"

    refused = console(desk, "--admin-listen", listen, check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"hourpass: no server answers at {listen}: Connection refused. Say --data and ")


def test_the_url_that_you_say_wins(desk):
    given = console(desk, "--admin-listen", "unix:/run/hourpass/admin.sock", "--url", "https://admin.example.com/")

    assert given.stdout.startswith("https://admin.example.com/console/sign-in/")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "x", "ftp://a", "http://", "http://a/x?y", "http://a#b", "http://u@a"]
)
def test_a_url_to_which_no_path_can_be_added_is_refused(desk, url):
    refused = console(desk, "--url", url, check=False)

    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_unix_socket_needs_a_forwarded_port(desk):
    refused = console(desk, "--admin-listen", "unix:/run/hourpass/admin.sock", check=False)

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "ssh -L 3601:/run/hourpass/admin.sock" in refused.stderr


def test_without_an_admin_listener_there_is_no_console(desk):
    refused = console(desk, "--admin-listen", "off", check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "admin_listen" in refused.stderr


def test_a_folder_without_a_database_is_an_error(tmp_path, at):
    refused = run_command("console", "--data", str(tmp_path), *at, check=False)

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
