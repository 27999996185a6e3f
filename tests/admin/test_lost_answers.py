"""A command over --server whose answer is lost repeats its call, and that makes no second key."""

import json
import socket
import threading

import pytest
from tests.conftest import clean_environment, free_port, run_command


class LosingRelay:
    """Passes connections on to a port. The answers to the first requests with a beginning never arrive."""

    def __init__(self, port: int, beginning: bytes, times: int) -> None:
        self.lost = 0
        self._port, self._beginning, self._times = port, beginning, times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._port)) as server:
                asked = client.recv(65_536)
                server.sendall(asked)
                while b"\r\n\r\n" not in asked or len(asked.partition(b"\r\n\r\n")[2]) < length_of(asked):
                    more = client.recv(65_536)
                    asked += more
                    server.sendall(more)
                server.shutdown(socket.SHUT_WR)  # it keeps connections, and ends one on which no more can come
                said = b""
                while piece := server.recv(65_536):
                    said += piece
                if asked.startswith(self._beginning) and self.lost < self._times:
                    self.lost += 1
                else:
                    client.sendall(said)

    def close(self) -> None:
        self._listener.close()


def length_of(asked: bytes) -> int:
    lines = asked.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


@pytest.fixture
def served(serve, tmp_path):
    port = free_port()
    server = serve(admin_listen=f"127.0.0.1:{port}")
    key_file = tmp_path / "admin.key"
    key_file.touch(mode=0o600)
    key_file.write_text(server.create_key("--admin", "owner")["api_key"])
    environment = clean_environment(HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))

    def command(through: int, *arguments: str, check: bool = True):
        url = ("--server", f"http://127.0.0.1:{through}", "--admin-key-file", str(key_file))
        return run_command(*url, *arguments, check=check, env=environment)

    return port, command


def test_a_lost_answer_makes_no_second_key_and_its_secret_is_told(served):
    port, command = served
    relay = LosingRelay(port, b"POST /admin/v1/keys ", 1)

    made = json.loads(command(relay.port, "keys", "create", "--name", "lost", "--json").stdout)

    assert relay.lost == 1
    named = [key for key in json.loads(command(port, "keys", "list", "--json").stdout) if key["name"] == "lost"]
    assert [key["key_id"] for key in named] == [made["key_id"]]
    assert made["api_key"].split("_")[2] == made["key_id"]
    relay.close()


def test_a_lost_answer_of_a_change_that_has_no_idempotency_key_is_told(served):
    port, command = served
    made = json.loads(command(port, "keys", "create", "--name", "a", "--json").stdout)
    relay = LosingRelay(port, b"PATCH /admin/v1/keys", 1)

    failed = command(relay.port, "keys", "update", made["key_id"], "--name", "b", check=False)

    assert failed.returncode != 0
    assert "does not answer" in failed.stderr
    relay.close()
