"""`--server`: which commands have a use for it, and what is said when the server cannot be asked."""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx2
import pytest
from tests.admin.both import Both
from tests.conftest import LOOKS_SECRET, clean_environment, free_port, run_command

from hourpass.cli import NEVER_OVER_SERVER, OVER_SERVER, SECTIONS

NOWHERE = "http://127.0.0.1:1"

OF_THE_CLIENT = [*SECTIONS["Client"], "completion"]

OF_THIS_MACHINE = sorted(
    {name for section in SECTIONS.values() for name in section} - OVER_SERVER - set(OF_THE_CLIENT) | NEVER_OVER_SERVER
)


@pytest.mark.parametrize("name", OF_THIS_MACHINE)
def test_a_command_for_this_machine_refuses_a_server_in_one_sentence(name, tmp_path):
    for before, variable, advice in (
        (("--server", NOWHERE), {}, "leave --server out"),
        ((), {"HOURPASS_SERVER": NOWHERE}, "unset HOURPASS_SERVER"),
    ):
        environment = clean_environment(HOME=str(tmp_path), **variable)
        said = run_command(*before, *name.split(), check=False, env=environment)

        assert (said.returncode, said.stdout) == (2, "")
        assert said.stderr == f"Error: {name} works on this machine alone: {advice}\n"
        assert run_command(*before, *name.split(), "--help", env=environment).stdout.startswith("Usage:")


def test_the_clients_commands_refuse_the_option_and_ignore_the_variable(tmp_path):
    environment = clean_environment(HOME=str(tmp_path))
    for name in OF_THE_CLIENT:
        said = run_command("--server", NOWHERE, name, check=False, env=environment)
        assert said.returncode == 2
        assert said.stderr == f"Error: --server is for the operator's commands, and {name} is not one of them\n"
    with_variable = {**environment, "HOURPASS_SERVER": NOWHERE}
    assert run_command("completion", "bash", env=with_variable).stdout
    asked = ("token", "--url", NOWHERE)
    plain, ignoring = (run_command(*asked, check=False, env=env) for env in (environment, with_variable))
    assert (plain.returncode, plain.stderr) == (ignoring.returncode, ignoring.stderr)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    both = Both(tmp_path_factory.mktemp("server"))
    yield both
    both.server.kill()


def list_keys(both, url=None, key=None, *arguments):
    """What the command says that lists the keys, or another one, with this admin key."""
    file = both.files / "key"
    if key is not None:
        file.touch(mode=0o600)
        file.write_text(key)
    named = str(file if key is not None else both.key_file)
    command = ("--server", url or both.admin, "--admin-key-file", named, *(arguments or ("keys", "list")))
    said = run_command(*command, check=False, env=both.environment)
    assert not LOOKS_SECRET.search((said.stdout + said.stderr).encode())
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1, said.stderr
    return said.returncode, said.stderr.removeprefix("hourpass: ").strip()


def test_a_server_that_cannot_be_reached_is_named(both):
    nobody = f"http://127.0.0.1:{free_port()}"
    assert list_keys(both, nobody)[1].startswith(f"{nobody} cannot be asked: no connection")
    no_tls = both.admin.replace("http:", "https:")
    code, words = list_keys(both, no_tls)
    assert code == 1
    assert words.startswith(f"{no_tls} cannot be asked: no connection")
    assert "SSL" in words


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "127.0.0.1:3601", "https://u:p@example.com"])
def test_a_server_is_https_or_this_machine(both, url):
    words = "--server must be https://HOST, http:// to this machine, with at most a port and a path, or unix:/PATH"
    assert list_keys(both, url) == (1, words)


def test_no_admin_key_goes_to_a_socket_that_somebody_else_could_have_put_there(both, tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "admin.sock"))
        listener.listen()
        listener.setblocking(False)

        code, words = list_keys(both, f"unix:{folder}/admin.sock")

        assert (code, f"--server: others can write into {folder} (mode 0777)" in words) == (2, True)
        with pytest.raises(BlockingIOError):
            listener.accept()
    missing = f"unix:{tmp_path}/missing"
    assert list_keys(both, missing) == (1, f"{missing} cannot be asked: No such file or directory")


@pytest.mark.parametrize("page", ["/console", "/console/", "/console/sign-in/abc", "/admin/v1", "/admin/v1/keys"])
def test_the_url_of_a_page_gets_the_one_that_is_meant(both, page):
    words = f"--server is the admin listener itself, without a page: {both.admin}"
    assert list_keys(both, both.admin + page) == (1, words)


def test_an_admin_key_that_is_not_accepted_says_why(both):
    refused = "the server does not accept the admin key"
    revoked, used = both.create("--admin", "auditor"), both.create("--admin", "auditor")
    both.server.command("keys", "revoke", revoked["key_id"])
    assert list_keys(both, key=revoked["api_key"]) == (1, f"{refused}: revoked")
    disabled = both.create("--admin", "auditor")
    both.server.command("keys", "disable", disabled["key_id"])
    assert list_keys(both, key=disabled["api_key"]) == (1, f"{refused}: disabled")
    assert list_keys(both, None, used["api_key"], "keys", "create", "--name", "x") == (
        1,
        "this needs the scope keys:write, and your admin key does not have it",
    )
    delegated = both.create("--admin", "operator", "--subject-prefix", "acme/", "--max-scope", "a")["api_key"]
    assert list_keys(both, None, delegated, "audit", "verify") == (
        1,
        "your admin key is delegated, and this is not for such a key",
    )
    token = httpx2.post(f"{both.admin}/auth/api-key", json={"apiKey": used["api_key"]}).json()["access_token"]
    both.remote("keys", "revoke", used["key_id"])
    assert httpx2.get(f"{both.admin}/admin/v1/me", headers={"authorization": f"Bearer {token}"}).status_code == 401
    assert list_keys(both, key=used["api_key"])[1].startswith(refused)
    assert list_keys(both, key="nonsense") == (1, refused)
    elsewhere = "this is not an admin key, or the URL is not that of the admin listener"
    assert list_keys(both, key=both.create()["api_key"]) == (1, elsewhere)
    assert list_keys(both, both.server.url) == (1, elsewhere)


def test_a_server_needs_a_key_and_goes_with_no_database(both):
    for arguments, words in (
        (("--server", both.admin, "keys", "list"), "name the file of your admin key: --admin-key-file FILE"),
        (
            ("--server", both.admin, "--admin-key-file", "x", "keys", "list", "--database", "sqlite:x"),
            "--database is about this machine, and --server names another one: give one of them",
        ),
    ):
        said = run_command(*arguments, check=False, env=both.environment)
        assert said.returncode == 2
        assert words in said.stderr
    missing = run_command("--server", both.admin, "--admin-key-file", "missing", "keys", "list", check=False)
    assert (missing.returncode, missing.stderr) == (
        1,
        "hourpass: cannot read the admin key from missing: No such file or directory\n",
    )


def test_words_of_a_server_move_nothing_on_the_terminal_and_stay_on_one_line(both):
    told = {"title": "t", "detail": "no\x1b]0;title\x07\r\nhourpass: all is well", "reason": "\x1b[2Jgone"}

    for status in (401, 403, 422, 503):
        code, words = list_keys_of_a_liar(both, status, json.dumps(told).encode())
        assert code == 1
        assert words.isprintable()
        assert "\\x1b" in words


@pytest.mark.parametrize(
    "body",
    [b"<html>Log in</html>", b'{"data": 1}', b"[" * 100_000],
    ids=lambda body: str(body[:9]),
)
def test_an_answer_that_is_not_one_of_an_admin_listener_is_told_in_words(both, body):
    code, words = list_keys_of_a_liar(both, 200, body)

    assert code == 1
    assert "answers something else than an admin listener does" in words


def test_nobody_is_followed_to_another_server(both):
    assert list_keys_of_a_liar(both, 302, b"<html>") == (1, "the server answered 302")


def list_keys_of_a_liar(both, status, body):
    """What the command says that lists the keys, if something answers it that only passes exchanges on."""

    class Liar(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = self.rfile.read(int(self.headers["content-length"]))
            self.answer(200, httpx2.post(f"{both.admin}{self.path}", content=asked).content)

        def do_GET(self):
            self.answer(status, body)

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("location", both.admin)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as liar:
        Thread(target=liar.serve_forever, args=(0.01,), daemon=True).start()
        try:
            return list_keys(both, f"http://127.0.0.1:{liar.server_port}")
        finally:
            liar.shutdown()


def test_the_key_in_the_place_of_its_file_is_not_repeated(both):
    """In the variable nothing refuses it before."""
    key = both.key_file.read_text()
    environment = both.environment | {"HOURPASS_SERVER": both.admin, "HOURPASS_ADMIN_KEY_FILE": key}

    said = run_command("keys", "list", check=False, env=environment)

    assert (
        said.stderr
        == "hourpass: cannot read the admin key from the file of your admin key: No such file or directory\n"
    )
    assert key[-10:] not in said.stderr


def test_the_file_of_an_admin_key_is_judged_as_other_files_that_hold_secrets(both):
    file = both.files / "shared"
    file.write_text(both.key_file.read_text())
    command = ("--server", both.admin, "--admin-key-file", str(file), "keys", "list")
    said = {}
    for mode in (0o600, 0o640, 0o644, 0o646):
        file.chmod(mode)
        said[mode] = run_command(*command, check=False, env=both.environment)

    assert [each.returncode for each in said.values()] == [0, 0, 0, 1]
    assert said[0o600].stderr == said[0o640].stderr == ""
    assert said[0o644].stderr == f"everyone on this machine can read {file} (mode 0644): chmod o-r {file}\n"
    assert f"others can write {file} (mode 0646)" in said[0o646].stderr
