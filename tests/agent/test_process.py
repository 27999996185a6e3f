"""The agent as a process against a real server: signals, succession, outages, silence about secrets."""

import json
import stat
import time
from pathlib import Path

import pytest
from tests.agent.conftest import ask, eventually
from tests.conftest import LOOKS_SECRET

from hourpass.client.credential import fingerprint
from hourpass.client.file_token import FileToken
from hourpass.core.errors import Unavailable


@pytest.fixture
def server(shared):
    return shared


@pytest.fixture
def made(server):
    return server.create_key()


@pytest.fixture
def api_key(made):
    return made["api_key"]


@pytest.fixture
def agent(server, api_key, start):
    return start(server.url, api_key).ready()


def grants(server, made):
    return json.loads(server.command("grants", "list", "--key", made["key_id"], "--json").stdout)


def test_the_file_and_the_socket_hold_the_same_token(agent):
    assert agent.sink.read_text() == agent.token()
    assert stat.S_IMODE(agent.sink.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.socket.parent.stat().st_mode) == 0o700


def test_usr1_refreshes_now(agent):
    before = agent.token()

    agent.send("SIGUSR1")

    eventually(lambda: agent.sink.read_text() not in ("", before))
    assert agent.metric('refreshes_total{result="refreshed"}') == 1


def test_a_rejected_token_is_refreshed_once_however_many_say_so(agent):
    before = agent.token()
    body = json.dumps({"fingerprint": fingerprint(before)}).encode()

    answers = [json.loads(ask(agent.socket, "/rejected", body)[1]) for _ in range(5)]

    assert len({answer["access_token"] for answer in answers} | {before}) == 2
    assert agent.metric('refreshes_total{result="refreshed"}') == 1
    eventually(lambda: agent.sink.read_text() == answers[0]["access_token"])


def test_term_ends_it_with_0_and_leaves_the_good_token(agent):
    assert agent.stop() == 0

    assert agent.sink.read_text()
    assert not agent.socket.exists()


def test_kill_9_leaves_the_last_good_file_and_the_next_agent_goes_on_with_the_same_grant(agent, server, made, start):
    agent.kill()
    for round_ in range(6):
        assert is_whole(agent.sink.read_text())
        successor = start(server.url, made["api_key"]).ready()
        successor.send("SIGUSR1")
        # Into the middle of the refresh: a little later each time.
        time.sleep(0.004 * round_)
        successor.kill()

    last = start(server.url, made["api_key"]).ready()

    assert last.sink.read_text() == last.token()
    assert last.metric("exchanges_total") == 0
    assert len(grants(server, made)) == 1


def is_whole(token):
    return token.startswith("eyJ") and [len(part) for part in token.split(".")][2:] == [86]


def test_a_second_agent_stands_by_and_takes_over(agent, server, made, start):
    second = start(server.url, made["api_key"])
    second.wait_for("standing by")
    before = agent.token()

    agent.kill()

    second.wait_for("taking over")
    second.ready()
    assert second.token() == before
    assert len(grants(server, made)) == 1


def test_an_agent_that_stands_by_ends_at_once(agent, server, api_key, start):
    second = start(server.url, api_key)
    second.wait_for("standing by")

    assert second.stop() == 0


def test_no_secret_is_in_any_command_line_environment_or_log(server, api_key, start, folder):
    """The agent's own, and those of a hook while it runs, as /proc shows them."""
    hook = folder / "hook"
    hook.write_text("#!/bin/sh\ncat $HOURPASS_TOKEN_FILE\nexec sleep 5\n")
    hook.chmod(0o700)
    agent = start(server.url, api_key, "--hook", str(hook)).ready()

    pids = [agent.process.pid, *eventually(lambda: children(agent.process.pid))]

    for pid in pids:
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{pid}/{name}").read_bytes()
            assert api_key.encode() not in content
            assert not LOOKS_SECRET.search(content)
    assert not LOOKS_SECRET.search(agent.log.read_bytes())


def children(pid):
    """Of any of its threads: hooks have one of their own."""
    return [int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]


def test_the_agent_is_ready_only_with_a_token(server, start):
    agent = start(server.url, "hp_production_" + "x" * 12 + "_" + "y" * 10)
    agent.wait_for("does not accept the API key")

    status, answer = ask(agent.socket, "/token")

    assert (status, json.loads(answer)["reason"]) == (503, "login_required")
    assert ask(agent.socket, "/health/ready")[0] == 503
    assert ask(agent.socket, "/health/live")[0] == 200
    assert agent.metric("token_valid") == 0
    assert not agent.sink.exists()


def test_hup_with_another_key_in_the_file_does_not_wait_out_the_refusal_of_the_old_one(server, api_key, start):
    agent = start(server.url, "not-a-key")
    agent.wait_for("does not accept the API key")

    Path(agent.arguments[agent.arguments.index("--api-key-file") + 1]).write_text(api_key)
    agent.send("SIGHUP")

    agent.ready()


def test_hup_with_another_key_exchanges_it_at_once(server, made, agent):
    """The old key's grant is not refreshed any more. Its token stays until the new one is there."""
    before, other = agent.token(), server.create_key()
    key_file = Path(agent.arguments[agent.arguments.index("--api-key-file") + 1])
    key_file.write_text(other["api_key"])

    agent.send("SIGHUP")

    eventually(lambda: agent.sink.read_text() not in ("", before))
    agent.send("SIGUSR1")
    eventually(lambda: agent.metric('refreshes_total{result="refreshed"}') == 1)
    assert len(grants(server, other)) == 1
    assert LOOKS_SECRET.search(agent.log.read_bytes()) is None


def test_hup_with_a_key_that_is_refused_keeps_the_token_that_is_good(server, agent):
    before = agent.token()
    key_file = Path(agent.arguments[agent.arguments.index("--api-key-file") + 1])
    key_file.write_text(before[:40])

    agent.send("SIGHUP")

    agent.wait_for("does not accept the API key")
    assert agent.sink.read_text() == before
    assert agent.token() == before


def test_hup_with_the_same_key_changes_no_token(agent):
    before = agent.token()

    agent.send("SIGHUP")

    agent.wait_for("reloaded")
    assert agent.token() == before


def test_a_reader_of_the_file_tells_the_agent_of_a_rejected_token(server, made, api_key, folder, start):
    """Revoked under a running agent: readers have another token at once, not at the next refresh."""
    start(server.url, api_key).ready().stop()
    (cache,) = (path for path in (folder / "cache").iterdir() if path.suffix not in (".agent", ".lock"))
    record = json.loads(cache.read_text())
    # A refused refresh token is healed by the key once in 30 s, so the exchange must lie further back.
    cache.write_text(json.dumps({**record, "exchanged_at": record["exchanged_at"] - 60_000}))
    agent = start(server.url, api_key).ready()
    tokens = FileToken(agent.sink, agent=agent.socket)
    rejected = tokens.credential()
    (grant,) = grants(server, made)
    server.command("grants", "revoke", grant["grant_id"])

    newer = tokens.refresh(rejected=rejected.number)

    assert newer.access_token != rejected.access_token
    assert newer.access_token == agent.token()


def test_a_reader_whose_agent_is_gone_says_so_and_waits_for_the_file(agent, caplog):
    tokens = FileToken(agent.sink, agent=agent.socket)
    rejected = tokens.credential()
    agent.kill()

    with pytest.raises(Unavailable):
        tokens.refresh(rejected=rejected.number)
    assert "the agent was not told" in caplog.text
