"""When a token is valid: soft, hard, and what a cache may make of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.conftest import HOUR, NOW, credential

from hourpass.client.credential import Credential, dump_credential, load_credential, name_of_key, newest

WALL = 1_800_000_000_000


@pytest.mark.parametrize(
    ("lifetime", "jitter", "soft", "hard"),
    [
        pytest.param(3_600_000, 0, 2_700_000, 3_528_000, id="an hour, no jitter"),
        pytest.param(3_600_000, 1, 2_340_000, 3_528_000, id="an hour, all of the jitter"),
        pytest.param(3_599_000, 0, 2_699_250, 3_527_020, id="the source's own lifetime"),
        pytest.param(500_000, 0, 375_000, 490_000, id="2 % is exactly 10 s"),
        pytest.param(60_000, 0, 45_000, 50_000, id="a minute keeps 10 s"),
        pytest.param(12_000, 0, 9_000, 9_600, id="12 s keep a fifth"),
        pytest.param(12_000, 1, 7_800, 9_600, id="12 s, all of the jitter"),
        pytest.param(1_000, 0, 750, 800, id="a second"),
    ],
)
def test_soft_and_hard_follow_from_the_lifetime(lifetime, jitter, soft, hard):
    one = credential(lifetime=lifetime, jitter=jitter)

    assert (one.soft - NOW, one.hard - NOW) == (soft, hard)


@given(lifetime=st.integers(100, 10**12), jitter=st.floats(0, 1), hint=st.none() | st.integers(1, 10**12))
def test_soft_is_before_hard_and_hard_before_the_end_for_any_lifetime(lifetime, jitter, hint):
    one = credential(lifetime=lifetime, jitter=jitter, refresh_in=hint)

    assert NOW <= one.soft < one.hard < one.expires_at


@pytest.mark.parametrize(
    ("refresh_in", "soft"),
    [(600_000, 600_000), (2_699_999, 2_699_999), (2_700_001, 2_700_000), (0, 2_700_000), (-1, 2_700_000)],
)
def test_a_servers_hint_moves_soft_earlier_and_never_later(refresh_in, soft):
    assert credential(refresh_in=refresh_in).soft - NOW == soft


@pytest.mark.parametrize(
    ("age", "freshness"),
    [(0, "fresh"), (2_699_999, "fresh"), (2_700_000, "due"), (3_527_999, "due"), (3_528_000, "unusable")],
)
def test_it_is_due_at_exactly_soft_and_unusable_at_exactly_hard(age, freshness):
    one = credential()

    assert one.freshness(NOW + age) == freshness
    assert one.is_usable(NOW + age) == (freshness != "unusable")


def test_the_newest_is_the_highest_number_and_the_first_of_equals():
    older, newer, same = credential(number=1), credential(number=2), credential(number=2, access_token="other")

    assert newest(None, older, newer, same) is newer
    assert newest(same, newer) is same
    assert newest(None, None) is None


def test_its_repr_holds_no_token():
    text = repr(credential(access_token="SECRET-A", refresh_token="SECRET-R"))

    assert "SECRET" not in text
    assert text == f"Credential(number=1, issued_at={NOW}, lifetime=3600000)"


@given(elapsed=st.integers(0, 10**9), own_clock=st.integers(0, 10**9), exchanged=st.none() | st.integers(0, 10**6))
def test_a_written_credential_is_read_back_on_another_clock(elapsed, own_clock, exchanged):
    """Another process, after a restart of the machine: its clock begins elsewhere, the wall clock goes on."""
    one = credential(exchanged_at=None if exchanged is None else NOW - exchanged)

    read = load_credential(dump_credential(one, "owner", NOW, WALL), "owner", own_clock, WALL + elapsed)

    shift = own_clock - elapsed - NOW
    moved = one._replace(issued_at=NOW + shift, soft=one.soft + shift, hard=one.hard + shift)
    assert read == (moved if exchanged is None else moved._replace(exchanged_at=one.exchanged_at + shift))


@given(jump=st.integers(-(10**9), 10**9))
def test_no_clock_jump_gives_a_token_more_life_than_it_had(jump):
    read = load_credential(dump_credential(credential(), "owner", NOW, WALL), "owner", NOW, WALL + jump)

    assert read.expires_at <= NOW + HOUR
    assert read.refresh_token == "refresh"
    if jump < 0:
        assert not read.is_usable(NOW), "nobody can tell its age"


RECORD = json.loads(dump_credential(credential(exchanged_at=NOW), "owner", NOW, WALL))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="nothing"),
        pytest.param(b"", id="empty"),
        pytest.param(json.dumps(RECORD).encode()[:-1], id="torn"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="empty object"),
        *(
            pytest.param(json.dumps({**RECORD, name: value}).encode(), id=f"{name}={value!a}")
            for name, value in [
                ("version", 2),
                ("owner", "other"),
                ("number", "1"),
                ("number", True),
                ("issued_at", None),
                ("issued_at", 1.5),
                ("lifetime", RECORD["hard"]),
                ("soft", -1),
                ("hard", RECORD["soft"]),
                ("access_token", None),
                *(("access_token", text) for text in ("", "a\r\nX: y", "a b", "\ud800", "ü")),
                ("refresh_token", 7),
                *(("refresh_token", text) for text in ("", "a\r\nX: y", "\ud800")),
                ("exchanged_at", "x"),
                ("key_name", 7),
            ]
        ),
        *(
            pytest.param(json.dumps({k: v for k, v in RECORD.items() if k != name}).encode(), id=f"no {name}")
            for name in RECORD
            if name != "key_name"
        ),
    ],
)
def test_corrupt_or_foreign_content_is_treated_as_absent(content):
    assert load_credential(content, "owner", NOW, WALL) is None


@pytest.mark.parametrize(
    ("written", "asked", "is_read"),
    [("A", "A", True), ("A", "B", False), ("A", None, True), (None, "A", True), (None, None, True)],
    ids=["the same key", "another key", "a reader without one", "a writer without one", "none"],
)
def test_the_token_of_another_key_is_treated_as_absent(written, asked, is_read):
    """A caller without a key uses any token in the cache, as a script beside the job that refreshes does."""
    read = load_credential(dump_credential(credential(key_name=written), "owner", NOW, WALL), "owner", NOW, WALL, asked)

    assert (read is not None) == is_read
    assert not is_read or read.key_name == written


def test_a_record_without_a_name_of_its_key_is_read():
    """Older ones have none, and a refresh token must not be lost to an update."""
    record = {name: value for name, value in RECORD.items() if name != "key_name"}

    assert isinstance(load_credential(json.dumps(record).encode(), "owner", NOW, WALL, "A"), Credential)


def test_a_keys_name_is_short_the_same_each_time_and_another_for_another_key():
    assert name_of_key("hp_KEY\n") == name_of_key("hp_KEY") != name_of_key("hp_KEX")
    assert len(name_of_key("hp_KEY")) == 16


def test_the_untouched_record_is_read():
    """Or the table above would show nothing."""
    assert isinstance(load_credential(json.dumps(RECORD).encode(), "owner", NOW, WALL), Credential)
