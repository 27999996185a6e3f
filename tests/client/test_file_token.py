"""The reading side of an agent's file."""

import base64
import json
import os
import threading

import pytest
from tests.client.conftest import HOUR, NOW

from hourpass.client.file_token import FileToken
from hourpass.clocks import boot_clock
from hourpass.core.errors import Unavailable
from hourpass.secret_file import write_atomically
from hourpass.testing import Clock


def jwt(exp, name="a", **claims):
    payload = base64.urlsafe_b64encode(json.dumps({"exp": exp, "n": name, **claims}).encode()).rstrip(b"=").decode()
    return f"eyJ0.{payload}.c2ln"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "token"


@pytest.fixture
def tokens(path, clock):
    return FileToken(path, origins=["https://api.example.com"], clock=clock, wall=clock)


def put(path, content):
    write_atomically(path, content if isinstance(content, bytes) else content.encode())


def test_a_bare_token_a_jwt_and_json_are_read(tokens, path, clock):
    for content, token in [
        ("opaque", "opaque"),
        (jwt(clock.now // 1000 + 60) + "\n", jwt(clock.now // 1000 + 60)),
        (json.dumps({"access_token": "inside", "expires_at": clock.now + 5_000}), "inside"),
    ]:
        put(path, content)
        clock.advance(1)
        assert tokens.token() == token


def test_it_looks_at_the_file_once_a_second_at_most(tokens, path, clock):
    put(path, "one")
    assert tokens.token() == "one"
    put(path, "two")

    clock.advance(0.999)
    assert tokens.token() == "one"
    clock.advance(0.001)
    assert tokens.token() == "two"
    assert tokens.current.number == 2


@pytest.mark.parametrize("content", [None, "", "{}", "{", "a b", "\x00", b"\xff", "x" * 70_000, jwt(1)], ids=repr)
def test_the_last_good_token_outlasts_any_content_of_the_file(tokens, path, clock, content):
    put(path, "good")
    tokens.token()
    if content is None:
        path.unlink()
    else:
        put(path, content)
    clock.advance(1)

    assert tokens.token() == "good"


def test_an_expired_token_is_never_given_away(tokens, path, clock):
    put(path, jwt(clock.now // 1000 + 60))
    expires_at = clock.now // 1000 * 1000 + 60_000
    tokens.token()

    clock.now = expires_at - 1
    assert tokens.token()
    assert tokens.expires_at(tokens.current) == expires_at
    clock.now = expires_at
    with pytest.raises(Unavailable):
        tokens.token()


@pytest.mark.parametrize("ahead", [HOUR, 2 * HOUR, 1000 * HOUR])
@pytest.mark.parametrize("form", ["raw", "json"])
def test_a_machine_whose_clock_is_ahead_uses_a_token_for_its_lifetime(path, clock, form, ahead):
    """The raw form's instants are the server's, those of the JSON form are this machine's."""
    issued = clock.now // 1000 * 1000
    clock.now = issued + ahead
    token = jwt((issued + HOUR) // 1000, iat=issued // 1000)
    put(path, token if form == "raw" else json.dumps({"access_token": token, "expires_at": clock.now + HOUR}))
    os.utime(path, (clock.now / 1000, clock.now / 1000))
    tokens = FileToken(path, clock=clock, wall=clock)

    assert tokens.token() == token
    clock.now += HOUR - 1
    assert tokens.token() == token
    clock.now += 1
    with pytest.raises(Unavailable):
        tokens.token()


@pytest.mark.parametrize("content", ["a\r\nX: y", "a\tb", "\ud800", "ü", "", "a" * 65_537], ids=ascii)
@pytest.mark.parametrize("form", ["raw", "json"])
def test_a_text_that_fits_no_header_is_not_a_token(tokens, path, form, content):
    put(path, content.encode("utf-8", "surrogatepass") if form == "raw" else json.dumps({"access_token": content}))

    with pytest.raises(Unavailable):
        tokens.token()


def test_no_file_no_token(tokens):
    with pytest.raises(Unavailable):
        tokens.token()


def test_after_a_401_it_looks_at_once(tokens, path):
    put(path, "one")
    number = tokens.credential().number
    put(path, "two")

    assert tokens.refresh(rejected=number, within=0).access_token == "two"


def test_after_a_401_it_waits_for_the_agent(path):
    tokens = FileToken(path, clock=boot_clock)
    put(path, "one")
    number = tokens.credential().number
    agent = threading.Timer(0.1, put, (path, "two"))
    agent.start()

    assert tokens.refresh(rejected=number).access_token == "two"
    agent.join()


def test_an_agent_that_brings_nothing_is_not_waited_for_long(tokens, path):
    put(path, "one")
    number = tokens.credential().number

    with pytest.raises(Unavailable):
        tokens.refresh(rejected=number, within=0.05)
    assert tokens.token() == "one"


@pytest.mark.anyio
async def test_asyncio_reads_the_same(tokens, path):
    put(path, "one")

    assert await tokens.token_async() == "one"
    with pytest.raises(Unavailable):
        await tokens.refresh_async(rejected=1, within=0.01)
    put(path, "two")
    assert (await tokens.refresh_async(rejected=1)).access_token == "two"


def test_it_goes_to_its_origins_alone_and_shows_no_token(tokens, path):
    put(path, "SECRET")
    tokens.token()

    assert tokens.allows("https://api.example.com/videos")
    assert not tokens.allows("https://other.example.com/videos")
    assert "SECRET" not in f"{tokens!r} {tokens.current!r}"


@pytest.fixture
def wall(clock):
    return Clock(clock.now)


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_a_bare_jwt_ends_when_it_says_so_by_this_machines_clock(path, clock, wall, offset):
    """With its issuer's clock five minutes off it ends as much early or late. JSON dated here has no such gap."""
    put(path, jwt(wall.now // 1000 + 3_600 + offset))
    tokens = FileToken(path, clock=clock, wall=wall)
    tokens.token()

    clock.now = wall.now = NOW + HOUR + offset * 1000 - 1
    assert tokens.token()
    clock.now = wall.now = NOW + HOUR + offset * 1000
    with pytest.raises(Unavailable):
        tokens.token()


def test_a_wall_clock_that_is_set_does_not_move_what_was_read(path, clock, wall):
    put(path, jwt(wall.now // 1000 + 3_600))
    tokens = FileToken(path, clock=clock, wall=wall)
    tokens.token()
    wall.advance(7_200)

    clock.advance(3_599.999)
    assert tokens.token()
    clock.advance(0.001)
    with pytest.raises(Unavailable):
        tokens.token()


def test_a_file_that_seemed_expired_is_judged_again_when_the_clock_is_set_right(path, clock, wall):
    put(path, jwt(wall.now // 1000 + 3_600))
    tokens = FileToken(path, clock=clock, wall=wall)
    wall.advance(7_200)
    with pytest.raises(Unavailable):
        tokens.token()

    wall.advance(-7_200)

    assert tokens.token()


def test_a_file_read_by_a_clock_that_was_ahead_is_dated_again_when_it_seems_to_end(path, clock, wall):
    put(path, jwt(wall.now // 1000 + 3_600))
    tokens = FileToken(path, clock=clock, wall=wall)
    wall.advance(3_540)
    tokens.token()
    wall.now = NOW

    clock.now = wall.now = NOW + 60_000
    assert tokens.credential().number == 1, "it is the same token"
    clock.now = wall.now = NOW + HOUR - 1
    assert tokens.token()
    clock.now = wall.now = NOW + HOUR
    with pytest.raises(Unavailable):
        tokens.token()


def test_after_a_suspend_of_two_hours_the_old_token_is_not_given_away(path, clock, wall):
    put(path, jwt(wall.now // 1000 + 3_600))
    tokens = FileToken(path, clock=clock, wall=wall)
    tokens.token()
    clock.advance(7_200)
    wall.advance(7_200)

    with pytest.raises(Unavailable):
        tokens.token()
    put(path, jwt(wall.now // 1000 + 3_600))
    assert tokens.credential().number == 2


def test_a_pipe_in_the_files_place_is_not_waited_for(tokens, path):
    os.mkfifo(path)

    with pytest.raises(Unavailable):
        tokens.token()
