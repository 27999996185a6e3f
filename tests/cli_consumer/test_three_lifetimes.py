"""For three lifetimes a service reads the token file that is kept fresh, and none of its calls fails."""

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from tests.cli_consumer.conftest import User

LIFETIME = 12

SERVICE = """
import os, sys, time
import httpx2
from hourpass.client import FileToken

token = FileToken(os.environ["HOURPASS_TOKEN_FILE"])
seen, ends = set(), time.monotonic() + float(sys.argv[2])
with httpx2.Client() as http:
    while time.monotonic() < ends:
        seen.add(token.token())
        answer = http.get(sys.argv[1], headers={"Authorization": "Bearer " + token.token()})
        if answer.status_code != 204:
            sys.exit(f"answered {answer.status_code}")
        time.sleep(0.05)
print(len(seen))
"""


@pytest.fixture
def server(serve):
    return serve(access_token_lifetime=LIFETIME, exchange_limit=0)


@pytest.mark.slow
def test_neither_under_run_nor_beside_a_job_does_a_service_see_its_token_die(user, server, tmp_path):
    """Side by side, because each takes three lifetimes: `hourpass run`, and what cron does with a run each second."""
    neighbour = User(tmp_path, server.url, user.api_key)
    with ThreadPoolExecutor(2) as pool:
        under_run = pool.submit(serve_under_run, user)
        statuses = serve_beside_a_job(neighbour, pool)

    # A token lives 12 s and is followed after 7.8 to 9 s.
    assert 4 <= under_run.result() <= 6
    assert statuses == {204}
    assert 4 <= neighbour.cached["number"] <= 6


def serve_under_run(user):
    """How many tokens the service saw. It ends with an error at the first that is refused."""
    arguments = (sys.executable, "-c", SERVICE, f"{user.url}/auth/verify", str(3 * LIFETIME))
    return int(user("run", "--", *arguments).stdout)


def serve_beside_a_job(user, pool):
    """How its calls were answered, each with the token that `hourpass token` printed just then."""
    user("refresh", "--if-due")
    statuses, ended = set(), threading.Event()

    def run_jobs():
        while not ended.wait(1):
            user("refresh", "--if-due", "--quiet")

    jobs = pool.submit(run_jobs)
    with httpx2.Client() as http:
        ends = time.monotonic() + 3 * LIFETIME
        while time.monotonic() < ends:
            token = user.token("--min-valid", "0")
            statuses.add(http.get(f"{user.url}/auth/verify", headers={"Authorization": f"Bearer {token}"}).status_code)
            time.sleep(0.2)
    ended.set()
    jobs.result()
    return statuses


def test_a_run_whose_server_is_away_goes_on_and_recovers(user, server, tmp_path):
    """The server is down when the refresh is due: the token in the file is good until it ends, then a new one comes."""
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = user.start(
            "run", "--", "sh", "-c", f"echo $HOURPASS_TOKEN_FILE > {tmp_path}/path; sleep 60", stderr=stderr
        )
        path = Path(wait_for(lambda: (tmp_path / "path").read_text().strip()))
        first = path.read_text()
        server.kill()
        wait_for(lambda: "no connection" in log.read_text() or None)
        assert path.read_text() == first
        server.restart()
        wait_for(lambda: None if path.read_text() in ("", first) else True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert log.read_text().count("\n") < 10


def wait_for(look):
    """The first answer that is not None. A file that does not exist yet is treated as None."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if (found := look()) is not None:
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it has not happened")
