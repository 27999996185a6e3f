"""The life of a grant: what is known comes in its order, and what is not known is said."""

import pytest
from tests.core.test_api_key import stored_key

from hourpass.core.address import pack_address
from hourpass.core.grant import Grant
from hourpass.core.grant_life import TrailLine, life_of

NOW = 1_800_000_000_000
OPENED = NOW - 10_000
KEY = stored_key()
GRANT = Grant(
    bytes(16),
    KEY.key_id,
    0,
    bytes(16),
    (),
    None,
    OPENED,
    NOW + 500,
    NOW + 1_000,
    opened_from=pack_address("192.0.2.1"),
    last_from=pack_address("192.0.2.2"),
)


def kinds(grant=GRANT, key=KEY, lines=(), now=NOW):
    return [(event.kind, event.at) for event in life_of(grant, key, lines, now)]


def line(event, at=NOW - 5, **detail):
    return TrailLine(at, event, "198.51.100.7", "client", detail)


def test_it_begins_with_the_exchange_and_ends_with_what_is_planned():
    opened, planned = life_of(GRANT, KEY, (), NOW)

    assert (opened.kind, opened.at, opened.address, opened.generation) == ("opened", OPENED, "192.0.2.1", 0)
    assert (planned.kind, planned.at) == ("expires", NOW + 500)
    assert planned.sentence == "The grant expires, if it is not refreshed."


def test_each_rotation_that_is_remembered_is_told_and_only_the_last_one_has_an_address():
    grant = GRANT._replace(generation=2, superseded=(NOW - 3, NOW - 7))

    rotations = [event for event in life_of(grant, KEY, (), NOW) if event.kind == "rotated"]

    assert [(each.at, each.generation, each.address) for each in rotations] == [
        (NOW - 7, 1, None),
        (NOW - 3, 2, "192.0.2.2"),
    ]


@pytest.mark.parametrize(
    ("generation", "superseded", "at", "sentence"),
    [
        (14, (NOW - 3, NOW - 7), NOW - 7, "12 rotations before this are not remembered one by one."),
        (2, (NOW - 3,), NOW - 3, "1 rotation before this is not remembered one by one."),
        (1_200, (), OPENED, "1,200 rotations since then are not remembered one by one."),
        (1, (), OPENED, "1 rotation since then is not remembered one by one."),
    ],
)
def test_rotations_that_are_not_remembered_are_one_gap_and_are_never_guessed(generation, superseded, at, sentence):
    events = life_of(GRANT._replace(generation=generation, superseded=superseded), KEY, (), NOW)

    gap = events[1]
    assert (gap.kind, gap.at, gap.sentence) == ("rotations_not_remembered", at, sentence)
    assert [event.generation for event in events if event.kind == "rotated"] == list(
        range(generation - len(superseded) + 1, generation + 1)
    )


def test_what_the_trail_says_is_told_in_the_order_of_time():
    lines = [
        line("grant.replayed", NOW - 1, presented_generation=1, current_generation=3),
        line("refresh.ahead", NOW - 3, presented_generation=9, current_generation=3),
        line("refresh.retried_elsewhere", NOW - 5, presented_generation=2, rotated_from="192.0.2.9"),
        line("token.revoked", NOW - 4, jti="x"),
        line("key.updated", NOW - 2),
    ]
    grant = GRANT._replace(revoked_at=NOW - 1, revoked_why="replayed")

    events = life_of(grant, KEY, lines, NOW)

    assert [(event.kind, event.generation, event.weight) for event in events] == [
        ("opened", 0, "plain"),
        ("retried_elsewhere", 2, "warn"),
        ("token_revoked", None, "plain"),
        ("ahead", 9, "warn"),
        ("replayed", 1, "bad"),
    ]
    assert "The rotation came from 192.0.2.9." in events[1].sentence
    assert {event.address for event in events[1:]} == {"198.51.100.7"}


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("revoked", "The grant was revoked."),
        ("token_revoked", "Its refresh token was revoked by its client."),
        ("restored", "The installation was restored from a backup, which ends every grant."),
    ],
)
def test_a_revocation_is_told_once_by_the_trail_or_else_by_the_row(why, words):
    grant = GRANT._replace(revoked_at=NOW - 5, revoked_why=why)

    for lines in ((), [line("grant.revoked", why=why)]):
        end = life_of(grant, KEY, lines, NOW)[-1]
        assert (end.kind, end.at, end.sentence, end.weight) == ("revoked", NOW - 5, words, "warn")
        assert len(life_of(grant, KEY, lines, NOW)) == 2


def test_a_replay_is_told_even_if_its_line_in_the_trail_was_pruned():
    end = life_of(GRANT._replace(revoked_at=NOW - 5, revoked_why="replayed"), KEY, (), NOW)[-1]

    assert (end.kind, end.weight) == ("replayed", "bad")


@pytest.mark.parametrize(
    ("members", "kind", "at", "words"),
    [
        ({"idle_expires_at": NOW}, "expired", NOW, "The grant expired: it was not refreshed for too long."),
        ({"idle_expires_at": NOW, "expires_at": NOW}, "expired", NOW, "The grant expired: it was too old."),
        (
            {"idle_expires_at": NOW + 1, "expires_at": NOW + 1},
            "expires",
            NOW + 1,
            "The grant expires, however often it is refreshed.",
        ),
    ],
)
def test_an_expiry_is_over_at_its_instant_and_planned_before(members, kind, at, words):
    end = life_of(GRANT._replace(**members), KEY, (), NOW)[-1]

    assert (end.kind, end.at, end.sentence) == (kind, at, words)


@pytest.mark.parametrize(
    ("members", "at", "words"),
    [
        ({"revoked_at": NOW}, NOW, "Its key was revoked."),
        ({"expires_at": NOW - 1, "revoked_at": NOW}, NOW - 1, "Its key expired."),
        ({"valid_from": OPENED + 1}, OPENED + 1, "Its key was replaced at once."),
    ],
)
def test_a_grant_ends_with_its_key(members, at, words):
    end = life_of(GRANT, KEY._replace(**members), (), NOW)[-1]

    assert (end.kind, end.at, end.sentence) == ("key_ended", at, words)


@pytest.mark.parametrize("members", [{"expires_at": NOW + 1}, {"valid_from": OPENED}, {"disabled_at": NOW - 1}])
def test_a_key_that_has_not_ended_ends_no_grant(members):
    assert kinds(key=KEY._replace(**members))[-1] == ("expires", NOW + 500)


def test_a_grant_that_expired_before_its_key_ended_expired():
    grant = GRANT._replace(idle_expires_at=NOW - 9)

    assert kinds(grant, KEY._replace(revoked_at=NOW - 5))[-1] == ("expired", NOW - 9)


def test_without_its_key_a_grant_s_life_is_told_as_well():
    assert kinds(key=None) == [("opened", OPENED), ("expires", NOW + 500)]
