"""The part that all adapters share: the verdicts of `flow`, carried out against a source."""

import io
import time

import pytest
from tests.client.conftest import URL

from hourpass.client.auth.sending import Gate, Rejection, Sending, position_of

API = f"{URL}/videos"


def rejection(sending, *, replayable=True, retry_after=None):
    return Rejection(API, sending.authorization, (), retry_after, replayable)


@pytest.fixture
def sending(source):
    return Sending(source, API, source.credential(), chance=lambda: 0.0)


def test_a_rejection_is_answered_with_another_authorization(sending):
    assert sending.again(rejection(sending))
    assert sending.authorization == "Bearer access-2"


@pytest.mark.anyio
async def test_the_same_for_asyncio(sending):
    assert await sending.again_async(rejection(sending))
    assert sending.authorization == "Bearer access-2"
    assert await sending.again_async(rejection(sending))
    assert not await sending.again_async(rejection(sending))


def test_the_wait_begins_at_the_answer_not_at_the_end_of_the_refresh(make, endpoint, clock):
    """The refresh takes the 3 s that Retry-After asks for."""
    source = make(observe=lambda event: clock.advance(3) if event == "refreshed" else None)
    sending = Sending(source, API, source.credential())

    began = time.monotonic()
    assert sending.again(rejection(sending, retry_after="3"))
    assert time.monotonic() - began < 2, "nothing was left to wait"


def test_a_body_that_cannot_be_replayed_still_gets_the_next_request_a_token(sending, source):
    assert not sending.again(rejection(sending, replayable=False))
    assert source.current.access_token == "access-2"


def test_the_budget_begins_again_if_the_adapter_says_so(sending, source, clock):
    clock.advance(10)
    assert not sending.again(rejection(sending)), "ten seconds are over"

    sending.restart()

    assert sending.again(rejection(sending))


def test_a_refresh_that_fails_leaves_the_401_to_the_caller_and_the_log_says_why(sending, endpoint, caplog):
    endpoint.script = [(503, {"Retry-After": "60"})]

    assert not sending.again(rejection(sending))
    assert "503" in caplog.text


@pytest.mark.parametrize(
    ("url", "headers", "carries"),
    [
        pytest.param(API, {}, True, id="ours"),
        pytest.param(API, {"Authorization": ""}, False, id="the caller's own, even if empty"),
        pytest.param("http://127.0.0.1:1/videos", {}, False, id="another port"),
        pytest.param("http://user:word@127.0.0.1:3600/", {}, False, id="credentials in the URL"),
    ],
)
def test_a_token_goes_to_allowed_origins_and_replaces_no_other_credential(source, url, headers, carries):
    assert Gate(source).lets(url, headers) == carries


def test_a_withheld_token_is_told_once_for_each_origin(source, caplog):
    gate = Gate(source)
    for url in [
        "https://a.example/x",
        "https://a.example/y",
        "wss://a.example",
        "https://b.example",
        "https://u:p@c.example",
    ]:
        gate.lets(url, {})
        gate.lets(url, {"Authorization": "own"})

    told = [record.message for record in caplog.records]
    assert len(told) == 3
    assert "https://a.example:443" in told[0]
    assert "origins" in told[0]
    assert "u:p" not in caplog.text


def test_the_warnings_of_withheld_tokens_are_limited(source, caplog):
    gate = Gate(source)
    for number in range(10_000):
        gate.lets(f"https://{number}.example", {})

    assert len(caplog.records) == Gate.MOST


class _Tape(io.BytesIO):
    def seekable(self):
        return False


def test_only_a_body_that_can_be_rewound_has_a_position(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        assert position_of(file) == 4
    assert position_of(file) is None, "closed"
    assert position_of(_Tape()) is None, "it knows its position, and cannot go back"
    assert [position_of(body) for body in (b"bytes", "str", None, iter([b""]))] == [None] * 4


def test_no_repr_holds_the_token(sending):
    assert "access" not in repr(rejection(sending)) + repr(sending)
