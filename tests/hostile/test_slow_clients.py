"""Clients that never get on with it: each is sent away when its time is up, and nobody else notices."""

import statistics
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.hostile.conftest import LONGEST, REQUEST_TIMEOUT, exchange, message

LENGTH = b"content-length: 80"
HEAD = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"

# name -> the parts that are sent, 0.25 s apart, and the statuses that are right. None is a closed connection.
SLOW = {
    "silence": ([b""], {408, None}),
    "half a request line": ([b"GET /hea"], {408, None}),
    "headers without an end": ([HEAD + b"x-a: b"], {408, None}),
    "a header every now and then": ([HEAD, *[b"x-a: b\r\n"] * 12], {408, None}),
    "a body that never comes": ([exchange(b"", LENGTH)], {408}),
    "a body shorter than it says": ([exchange(b'{"apiKey":"hp_', LENGTH)], {408}),
    "a byte every now and then": ([exchange(b"", LENGTH), *[b" "] * 12], {408}),
    "a chunk that never comes": ([exchange(b"", b"transfer-encoding: chunked")], {408}),
    "a second request, begun with the first": ([message(b"GET", b"/health/live") + HEAD], {200}),
    "a second request that never comes whole": ([message(b"GET", b"/health/live"), HEAD], {200}),
}


@pytest.fixture(scope="module")
def answers(process):
    """All of them at once, because each takes its time."""
    with ThreadPoolExecutor(len(SLOW)) as clients:
        talks = {name: clients.submit(process.talk, *parts, pause=0.25) for name, (parts, _) in SLOW.items()}
        return {name: talk.result() for name, talk in talks.items()}


@pytest.mark.parametrize("name", SLOW)
def test_a_client_that_is_too_slow_is_sent_away_in_time(target, answers, name):
    """contract.md, "Limits": the request time-out, 1 s here."""
    answer, (_, right) = answers[name], SLOW[name]

    assert not answer.hung
    assert REQUEST_TIMEOUT * 0.9 <= answer.seconds <= LONGEST
    assert (answer.statuses or [None])[0] in right


def test_a_body_that_ends_too_early_is_not_500(target):
    """The client closes its half in the middle. It may still be listening."""
    answer = target.talk(exchange(target.exchange_body[:-5], LENGTH), half_close=True)

    assert not answer.hung
    assert answer.statuses in ([], [400])


def test_forty_slow_clients_hold_up_nobody(target):
    """Requests with nobody's good will take a connection each, and no more."""
    with ThreadPoolExecutor(40) as clients:
        talks = [clients.submit(target.talk, HEAD, *[b"x-a: b\r\n"] * 3, pause=0.25, patience=0.1) for _ in range(40)]
        quick = [httpx2.post(f"{target.url}/auth/api-key", content=target.exchange_body) for _ in range(20)]
        for talk in talks:
            talk.result()

    assert {answer.status_code for answer in quick} == {200}
    assert statistics.median(answer.elapsed.total_seconds() for answer in quick) < 0.5
