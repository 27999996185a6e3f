"""The commands with --agent: the token comes over the socket, and neither cache nor server is asked."""

import json
import socketserver
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

TOKEN = "a-token-of-the-agent"


class Agent:
    """A stand-in for the agent: answers as the test says, and remembers the requests."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked: list[str] = []
        self.answer: tuple[int, dict] = (200, {})
        self.give(TOKEN, age=0)

    def give(self, token: str, *, age: int, lifetime: int = 3600) -> None:
        issued_at = time.time_ns() // 1_000_000 - age * 1000
        record = {"access_token": token, "token_type": "Bearer", "issued_at": issued_at}
        self.answer = (200, {**record, "expires_at": issued_at + lifetime * 1000})


@pytest.fixture
def agent(tmp_path):
    agent = Agent(str(tmp_path / "agent.sock"))

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            agent.asked.append(f"{self.command} {self.path} {body.decode()}".strip())
            status, answer = agent.answer
            content = json.dumps(answer).encode() if isinstance(answer, dict) else answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 the library's names

        def log_message(self, *arguments):
            pass

    with socketserver.ThreadingUnixStreamServer(agent.path, Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield agent
        server.shutdown()
        thread.join()


@pytest.fixture
def guest(stranger, agent):
    """A user who has an agent, and no key, URL or cache."""
    stranger.environment = {**stranger.bare, "HOURPASS_AGENT": agent.path}
    return stranger


def test_the_token_is_the_agents(guest, agent):
    assert guest.token("--min-valid", "300") == TOKEN
    assert agent.asked == ["GET /token?min_valid=300"]
    assert not guest.folder.exists()


def test_the_json_repeats_the_agents_instants(guest, agent):
    answer = json.loads(guest("token", "--json").stdout)

    assert abs(answer["expires_at"] - agent.answer[1]["expires_at"]) < 1000
    assert answer["expires_at"] - answer["issued_at"] == 3_600_000


def test_code_10_the_agent_has_no_token_with_so_much_left(guest, agent):
    agent.give(TOKEN, age=3400)

    assert guest("token", "--min-valid", "600", code=10).stdout == f"{TOKEN}\n"


def test_code_30_the_agent_needs_a_login(guest, agent):
    agent.answer = (503, {"title": "…", "reason": "login_required"})

    guest("token", code=30)


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"title": "no token"}),
        (403, {}),
        (200, {}),
        (200, b"no JSON"),
        (200, {"access_token": "two\nlines", "issued_at": 0, "expires_at": 1}),
        (200, {"access_token": TOKEN, "issued_at": "0", "expires_at": 1}),
        (200, {"access_token": TOKEN, "issued_at": 0, "expires_at": 1000}),
    ],
    ids=["unavailable", "forbidden", "empty", "no JSON", "two lines", "no instants", "expired"],
)
def test_code_20_for_every_other_answer_of_the_agent(guest, agent, answer):
    agent.answer = answer

    assert guest("token", code=20).stdout == ""


def test_code_20_without_an_agent(guest, agent):
    Path(agent.path).unlink()

    assert "cannot be reached" in guest("token", code=20).stderr


def test_code_20_if_the_listener_is_not_an_agent(guest, tmp_path):
    path = str(tmp_path / "other.sock")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1024)
            self.request.sendall(b"220 mail.example.com\r\n")

    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        result = guest("token", "--agent", path, code=20)
        server.shutdown()
        thread.join()

    assert "not an agent" in result.stderr


def test_a_command_runs_with_the_agents_token(guest):
    assert guest("run", "--", "sh", "-c", 'cat "$HOURPASS_TOKEN_FILE"').stdout == TOKEN


def test_a_new_token_of_the_agent_comes_into_the_file(guest, agent):
    agent.give(TOKEN, age=0, lifetime=4)
    script = 'cat "$HOURPASS_TOKEN_FILE"; echo; sleep 3.4; cat "$HOURPASS_TOKEN_FILE"'
    process = guest.start("run", "--min-valid", "0", "--", "sh", "-c", script, stdout=-1, text=True)
    first = process.stdout.readline()
    agent.give("another-token", age=0)

    assert (first, process.communicate(timeout=20)[0]) == (f"{TOKEN}\n", "another-token")


def test_a_token_that_git_erases_is_told_to_the_agent_by_its_fingerprint(guest, agent):
    question = f"protocol=https\nhost=git.example.com\npassword={TOKEN}\n\n"
    guest("credential", "git", "--origin", "https://git.example.com", "erase", input=question)
    fingerprint = sha256(TOKEN.encode()).hexdigest()[:16]

    assert agent.asked == ["POST /rejected " + json.dumps({"fingerprint": fingerprint})]


def test_an_agent_hands_out_no_token_for_an_origin_that_nobody_named(guest, agent):
    question = "protocol=https\nhost=elsewhere.example.com\n\n"

    assert guest("credential", "git", "get", input=question).stdout == ""
    assert agent.asked == []
