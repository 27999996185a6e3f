"""`hourpass health`: says of a running server whether it is ready."""

import socket
from threading import Thread

import pytest
from tests.conftest import clean_environment, free_port, run_command

CHECKS = ["accepting", "clock", "database", "migrations", "signing_key", "revocations"]


def asked(address, *, check=False):
    return run_command("health", "--data", "/nowhere", "--admin-listen", address, check=check)


def test_a_server_that_is_ready_is_a_success(serve):
    address = f"127.0.0.1:{free_port()}"
    serve(admin_listen=address)

    result = asked(address, check=True)

    assert [line.split() for line in result.stdout.splitlines()] == [[check, "ok"] for check in CHECKS]


def test_it_asks_a_server_that_listens_everywhere_on_loopback(serve):
    """The container's image listens everywhere. This server does not: it is only asked as if it did."""
    port = free_port()
    serve(admin_listen=f"127.0.0.1:{port}")

    assert asked(f"0.0.0.0:{port}", check=True).stdout.startswith("accepting")


def test_it_asks_a_server_that_listens_on_a_unix_socket_and_so_does_a_command_with_its_address(serve, tmp_path):
    address = f"unix:{tmp_path}/admin.sock"
    server = serve(admin_listen=address)
    key = server.create_key("--admin", "owner")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(key["api_key"])
    environment = clean_environment(HOME=str(tmp_path))

    assert asked(address, check=True).stdout.startswith("accepting")
    for given in (address, "unix:admin.sock", f"{address}.old"):
        said = run_command(
            *("--server", given, "--admin-key-file", str(tmp_path / "key"), "keys", "disable", key["key_id"]),
            env=environment,
            check=False,
        )
        match given:
            case "unix:admin.sock":
                assert (said.returncode, "begins with a slash" in said.stderr) == (1, True), said
            case _ if given == address:
                assert said.stderr == f"Server: {address}\n{key['key_id']} is disabled.\n"
            case _:
                assert (said.returncode, f"{given} cannot be asked" in said.stderr) == (1, True), said


def test_a_check_that_fails_is_named_and_is_a_failure(serve):
    address = f"127.0.0.1:{free_port()}"
    server = serve(admin_listen=address)
    (server.data / "hourpass.db").unlink()

    result = asked(address)

    assert result.returncode == 1
    assert dict(line.split(maxsplit=1) for line in result.stdout.splitlines())["database"] != "ok"


def test_it_finds_the_address_where_the_server_does(serve):
    address = f"127.0.0.1:{free_port()}"
    server = serve(admin_listen=address)
    (server.data / "hourpass.toml").write_text(f'admin_listen = "{address}"\n')

    assert server.command("health").stdout.startswith("accepting")


def test_a_server_that_does_not_answer_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    result = asked(f"127.0.0.1:{port}")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"hourpass: no server answers at 127.0.0.1:{port}: Connection refused\n"


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.0 200 OK\r\n\r\n[]", b'HTTP/1.0 200 OK\r\n\r\n{"checks":[]}']
)
def test_something_else_that_answers_is_a_failure(answer):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answering = Thread(target=answer_once, args=(other, answer))
        answering.start()
        result = asked(f"127.0.0.1:{port}")
        answering.join()

    assert result.returncode == 1
    assert result.stderr == f"hourpass: what answers at 127.0.0.1:{port} is not hourpass\n"


def answer_once(listener, answer):
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(answer)


def test_without_an_admin_listener_it_says_where_to_ask():
    result = asked("off")

    assert result.returncode == 1
    assert "/health/ready" in result.stderr
