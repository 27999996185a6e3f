"""For three lifetimes a service reads the token where it is kept fresh, and none of its calls fails."""

import signal
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

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
def test_a_service_under_run_never_sees_its_token_die(user):
    arguments = (sys.executable, "-c", SERVICE, f"{user.url}/auth/verify", str(3 * LIFETIME))
    result = user("run", "--", *arguments)

    # A token lives 12 s and is followed after 7.8 to 9 s.
    assert 4 <= int(result.stdout) <= 6


@pytest.mark.slow
def test_a_job_that_comes_often_enough_keeps_a_service_going(user):
    """What cron does, with a short enough interval for the short lifetime: a run each second, most of them no-ops."""
    user("refresh", "--if-due")
    statuses, ended = set(), threading.Event()

    def run_jobs():
        while not ended.wait(1):
            user("refresh", "--if-due", "--quiet")

    jobs = threading.Thread(target=run_jobs)
    jobs.start()
    with httpx2.Client() as http:
        ends = time.monotonic() + 3 * LIFETIME
        while time.monotonic() < ends:
            answer = http.get(
                f"{user.url}/auth/verify", headers={"Authorization": f"Bearer {user.token('--min-valid', '0')}"}
            )
            statuses.add(answer.status_code)
    ended.set()
    jobs.join()

    assert statuses == {204}
    assert 4 <= user.cached["number"] <= 6


def test_a_run_whose_server_is_away_goes_on_and_recovers(user, server, tmp_path):
    """client.md: the server down from soft on; the token in the file is good until hard, and a new one comes after."""
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = user.start(
            "run", "--", "sh", "-c", f"echo $HOURPASS_TOKEN_FILE > {tmp_path}/path; sleep 60", stderr=stderr
        )
        path = wait_for(lambda: Path((tmp_path / "path").read_text().strip()))
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
    """The first answer that is not None; a file that is not there yet counts as none."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if (found := look()) is not None:
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it has not happened")
