"""`hourpass serve`: it refuses what it cannot do before it listens, and ends when it is told to."""

import os
import pty
import signal
import socket
import subprocess

import pytest
from tests.conftest import HOURPASS


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "65536"), "port (from flag): must be a whole number from 0 to 65535"),
        (("--retry-window", "301"), "retry_window (from flag)"),
        (("--access-token-lifetime", "0"), "access_token_lifetime (from flag)"),
        (("--workers", "0"), "workers (from flag): must be a whole number from 1 to 256"),
        (("--workers", "2"), "workers: more than one needs a PostgreSQL database"),
        (("--signing-algorithm", "none"), "signing_algorithm (from flag)"),
        (("--issuer", "ftp://x"), "issuer (from flag)"),
        (("--admin-listen", "3601"), "admin_listen (from flag): must be HOST:PORT, [::1]:PORT or unix:/PATH, or off"),
        (("--host", "256.1.1.1"), "cannot listen on 256.1.1.1:"),
        (("--trusted-proxies", "everyone"), "trusted_proxies (from flag)"),
        (("--path-prefix", "no-slash"), "path_prefix (from flag)"),
        (("--realm", 'a"b'), "realm: must be ASCII"),
        (("--port", "0", "--admin-listen", "127.0.0.1:99999"), "admin_listen"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_settings_are_refused_before_anything_listens(hourpass, flags, words):
    result = hourpass("serve", *flags, code=1)

    assert result.stdout == ""
    assert words in result.stderr


def test_a_port_that_is_taken_is_a_failure_in_words(hourpass):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = hourpass("serve", "--port", str(port), code=1)

    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr


def test_two_servers_never_share_a_data_folder(serve, hourpass):
    server = serve()

    result = hourpass("serve", "--data", str(server.data), "--port", "0", "--admin-listen", "off", code=1)

    assert f"another hourpass server runs on the data folder {server.data}" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
def test_being_told_to_stop_is_a_success(serve, number):
    server = serve()

    server.process.send_signal(number)

    assert server.process.wait(30) == 0
    assert "Traceback" not in server.log.read_text()


def test_the_commands_work_beside_a_running_server(serve):
    server = serve()
    created = server.create_key("--scope", "videos.read")

    assert created["key_id"] in server.command("keys", "list").stdout


def test_no_color_is_obeyed_by_the_log(hourpass):
    """https://no-color.org."""
    terminal, child = pty.openpty()
    process = subprocess.Popen(
        [HOURPASS, "serve", "--port", "0", "--admin-listen", "off"],
        env={**hourpass.environment, "NO_COLOR": "1"},
        stderr=child,
    )
    os.close(child)
    try:
        shown = os.read(terminal, 65_536).decode()
    finally:
        process.terminate()
        process.wait(30)
        os.close(terminal)

    assert "listening" in shown
    assert "\x1b" not in shown
