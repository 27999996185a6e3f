"""Wrong keys are one line of the log for each address and minute, with a count: bounded, and without a key."""

import logging

import pytest
from tests.server.conftest import nobodys_key, other_secret

from hourpass.server.telemetry.wrong_keys import ADDRESSES, LINES_AT_ONCE, WrongKeys

MINUTE = 60_000


class Timer:
    """Milliseconds that the test advances."""

    def __init__(self) -> None:
        self.now = 10 * MINUTE

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def timer():
    return Timer()


@pytest.fixture
def wrong(timer):
    return WrongKeys(timer)


@pytest.fixture
def told(caplog):
    """The lines so far: address and count of each."""
    caplog.set_level(logging.WARNING, "hourpass")
    return lambda: [(record.address, record.times) for record in caplog.records if record.msg == "wrong API keys"]


def test_nothing_is_told_before_the_minute_is_over_and_then_one_line_for_each_address(wrong, timer, told):
    for address in ["192.0.2.1"] * 3 + ["192.0.2.2"]:
        wrong.note(address)
    timer.now += MINUTE - 1
    wrong.look()
    assert told() == []

    timer.now += 1
    wrong.look()
    wrong.look()

    assert told() == [("192.0.2.1", 3), ("192.0.2.2", 1)]


def test_each_minute_is_counted_by_itself(wrong, timer, told):
    wrong.note("192.0.2.1")
    timer.now += MINUTE
    wrong.note("192.0.2.1")
    wrong.note("192.0.2.1")
    timer.now += MINUTE
    wrong.look()

    assert told() == [("192.0.2.1", 1), ("192.0.2.1", 2)]


def test_the_end_of_the_process_tells_what_was_counted(wrong, told):
    wrong.note("192.0.2.1")
    wrong.close()
    wrong.close()

    assert told() == [("192.0.2.1", 1)]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_is_told_as_it_is_throttled(wrong, told, address, name):
    wrong.note(address)
    wrong.close()

    assert told() == [(name, 1)]


def test_the_addresses_of_a_minute_are_bounded_and_further_ones_are_counted_together(wrong, timer, told):
    for number in range(ADDRESSES + 50):
        wrong.note(f"10.0.{number // 250}.{number % 250 + 1}")
    timer.now += MINUTE
    wrong.look()
    assert len(told()) == LINES_AT_ONCE
    for _ in range(ADDRESSES // LINES_AT_ONCE):
        wrong.look()

    lines = dict(told())
    assert len(told()) == ADDRESSES + 1
    assert lines["others"] == 50
    assert sum(lines.values()) == ADDRESSES + 50


def test_lines_that_wait_are_bounded(wrong, timer, told):
    for _ in range(3):
        for number in range(ADDRESSES):
            wrong.note(f"10.0.{number // 250}.{number % 250 + 1}")
        timer.now += MINUTE
    wrong.close()

    assert len(told()) == ADDRESSES + 1


FORM = {"grant_type": "client_credentials"}
WAYS = {
    "exchange": lambda http, key: http.post("/auth/api-key", json={"apiKey": key}),
    "as a client": lambda http, key: http.post("/oauth/token", data=FORM, auth=("x", key)),
    "at a protected endpoint": lambda http, key: http.get("/auth/verify", auth=(key, "")),
    "as what is revoked": lambda http, key: http.post("/oauth/revoke", data={"token": key}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_every_way_to_present_a_wrong_key_is_counted_and_no_line_has_a_key(server, told, caplog, way):
    key = await server.create_key()
    wrong = [other_secret(key), nobodys_key()]
    for text in wrong:
        await way(server.client("203.0.113.9"), text)

    server.app.issuer.authentication.wrong_keys.close()

    assert told() == [("203.0.113.9", 2)]
    assert not [text for text in wrong if text[-20:] in str([vars(record) for record in caplog.records])]


@pytest.mark.anyio
async def test_a_genuine_key_is_never_counted_even_if_it_is_refused(server, told):
    key = await server.create_key(allowed_ips=("10.0.0.0/8",))
    await server.client("203.0.113.9").post("/auth/api-key", json={"apiKey": key})
    await server.revoke_key(key)
    await server.client("10.0.0.1").post("/auth/api-key", json={"apiKey": key})

    server.app.issuer.authentication.wrong_keys.close()

    assert told() == []


@pytest.mark.anyio
async def test_the_server_tells_when_it_stops(start, told):
    server = await start()
    await server.client("203.0.113.9").post("/auth/api-key", json={"apiKey": nobodys_key()})

    await server.app.stop()

    assert told() == [("203.0.113.9", 1)]
