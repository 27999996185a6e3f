"""Revocations: four levels combined by maximum, in any order, kept as long as they can refuse anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.claims import Claims, accepted_until
from hourpass.core.policy import LEEWAY
from hourpass.core.revocation import TOKENS_PER_GRANT, Revocation, Revocations, RevokedTokens, token_until

ISSUED = 1_800_000_000
UNTIL = (ISSUED + 3_605) * 1_000


def claims(**changes) -> Claims:
    good = Claims("iss", "alice", "aud", ISSUED + 3_600, ISSUED, "token", "key", "", "grant", "production")
    return good._replace(**changes)


LEVELS = [("grant", "grant"), ("key", "key"), ("token", "token"), ("issued_before", str(ISSUED + 1))]


@pytest.mark.parametrize(("kind", "value"), LEVELS)
def test_each_level_alone_refuses_the_token(kind, value):
    assert Revocations([Revocation(1, kind, value, UNTIL)]).refuses(claims())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("grant", "key"),
        ("grant", "token"),
        ("key", "alice"),
        ("key", "grant"),
        ("token", "grant"),
        ("token", "key"),
        ("grant", ""),
        ("issued_before", "0"),
    ],
)
def test_a_level_refuses_by_its_own_claim_only(kind, value):
    assert not Revocations([Revocation(1, kind, value, UNTIL)]).refuses(claims())


def test_nothing_is_refused_if_nothing_was_revoked():
    assert not Revocations().refuses(claims())


@pytest.mark.parametrize(("issued", "refused"), [(-1, True), (0, False), (1, False)])
def test_issued_before_refuses_strictly_earlier_tokens(issued, refused):
    revocations = Revocations([Revocation(1, "issued_before", str(ISSUED), UNTIL)])

    assert revocations.refuses(claims(iat=ISSUED + issued)) is refused


@pytest.mark.parametrize(("issued", "refused"), [(-1, True), (0, False), (1, False)])
def test_a_cutoff_refuses_strictly_earlier_tokens_of_its_key_alone(issued, refused):
    revocations = Revocations([Revocation(1, "key", "key", UNTIL, ISSUED)])

    assert revocations.refuses(claims(iat=ISSUED + issued)) is refused
    assert not revocations.refuses(claims(iat=ISSUED - 1, client_id="another"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_cutoff_never_weakens_a_keys_end_or_a_higher_cutoff(order):
    ends = [Revocation(1, "key", "key", UNTIL), Revocation(2, "key", "key", UNTIL + 1, 5)]
    revocations = Revocations([*ends, Revocation(3, "key", "key", UNTIL + 2, 3)][::order])

    assert revocations.refuses(claims())
    assert len(revocations) == 3
    revocations.prune(UNTIL)
    assert revocations.refuses(claims(iat=4))
    assert not revocations.refuses(claims(iat=5))
    revocations.prune(UNTIL + 1)
    assert not revocations.refuses(claims(iat=4))
    assert revocations.refuses(claims(iat=2))


@pytest.mark.parametrize("order", [1, -1], ids=["later-is-lower", "later-is-higher"])
def test_a_later_cut_never_weakens_an_earlier_one(order):
    cuts = [Revocation(1, "issued_before", str(ISSUED + 1), UNTIL), Revocation(2, "issued_before", "5", UNTIL)]

    assert Revocations(cuts[::order]).refuses(claims())


def test_when_the_higher_cut_is_forgotten_the_lower_one_still_holds():
    revocations = Revocations(
        [Revocation(1, "issued_before", str(ISSUED), UNTIL), Revocation(2, "issued_before", "5", UNTIL + 1)]
    )

    revocations.prune(UNTIL)

    assert not revocations.refuses(claims(iat=5))
    assert revocations.refuses(claims(iat=4))


@pytest.mark.parametrize(("kind", "value"), LEVELS)
def test_an_entry_is_forgotten_at_exactly_its_end(kind, value):
    revocations = Revocations([Revocation(1, kind, value, UNTIL)])

    revocations.prune(UNTIL - 1)
    assert revocations.refuses(claims())
    revocations.prune(UNTIL)
    assert not revocations.refuses(claims())
    assert len(revocations) == 0


@pytest.mark.parametrize(("kind", "value"), LEVELS)
@pytest.mark.parametrize("order", [1, -1], ids=["shorter-last", "longer-last"])
def test_of_two_entries_on_one_thing_the_longer_applies(kind, value, order):
    entries = [Revocation(1, kind, value, UNTIL), Revocation(2, kind, value, UNTIL - 1_000)]
    revocations = Revocations(entries[::order])

    revocations.prune(UNTIL - 1)

    assert revocations.refuses(claims())
    assert len(revocations) == 1


def test_an_entry_that_comes_twice_is_one_entry():
    revocations = Revocations([Revocation(1, kind, value, UNTIL) for kind, value in LEVELS * 2])

    assert len(revocations) == len(LEVELS)


def test_a_single_token_s_revocation_ends_with_the_token():
    assert token_until(claims().exp, LEEWAY) == accepted_until(claims())


entries = st.builds(
    Revocation,
    st.integers(1, 50),
    st.just("issued_before"),
    st.integers(ISSUED - 2, ISSUED + 2).map(str),
    st.integers(UNTIL, UNTIL + 3),
    st.none(),
)
entries |= st.builds(
    Revocation,
    st.integers(1, 50),
    st.sampled_from(["grant", "key", "token"]),
    st.sampled_from(["grant", "key", "token", "other"]),
    st.integers(UNTIL, UNTIL + 3),
    st.none(),
)
entries |= st.builds(
    Revocation,
    st.integers(1, 50),
    st.just("key"),
    st.sampled_from(["key", "other"]),
    st.integers(UNTIL, UNTIL + 3),
    st.integers(ISSUED - 2, ISSUED + 2),
)


@given(st.lists(entries, max_size=8), st.randoms(use_true_random=False), st.integers(UNTIL - 1, UNTIL + 4))
def test_order_changes_nothing_and_a_token_is_refused_if_any_entry_in_force_says_so(entries, random, now):
    def refuses(entry: Revocation) -> bool:
        if entry.kind == "issued_before":
            return int(entry.value) > ISSUED
        if entry.issued_before is not None and entry.issued_before <= ISSUED:
            return False
        return entry.value == entry.kind

    shuffled = random.sample(entries, len(entries))
    revocations = Revocations(shuffled)
    assert revocations.refuses(claims()) == any(map(refuses, entries))

    revocations.prune(now)

    assert revocations.refuses(claims()) == any(refuses(entry) for entry in entries if now < entry.until)
    assert len(revocations) == len({(e.kind, e.value, e.issued_before) for e in entries if now < e.until})


def test_the_last_token_that_ends_alone_is_exactly_the_limit():
    tokens = RevokedTokens()

    alone = [tokens.may_end_alone("grant", f"token {number}", UNTIL, 0) for number in range(TOKENS_PER_GRANT + 1)]

    assert alone == [True] * TOKENS_PER_GRANT + [False]


def test_a_token_that_is_asked_about_again_takes_no_second_place():
    tokens = RevokedTokens()
    for number in range(TOKENS_PER_GRANT):
        assert tokens.may_end_alone("grant", f"token {number}", UNTIL, 0)

    assert tokens.may_end_alone("grant", "token 0", UNTIL, 0)


def test_a_token_gives_its_place_back_at_exactly_its_end():
    tokens = RevokedTokens()
    for number in range(TOKENS_PER_GRANT):
        tokens.may_end_alone("grant", f"token {number}", UNTIL, 0)

    assert not tokens.may_end_alone("grant", "one more", 2 * UNTIL, UNTIL - 1)
    assert tokens.may_end_alone("grant", "one more", 2 * UNTIL, UNTIL)


def test_grants_have_places_apart():
    tokens = RevokedTokens()
    for number in range(TOKENS_PER_GRANT):
        tokens.may_end_alone("grant", f"token {number}", UNTIL, 0)

    assert tokens.may_end_alone("another", "token", UNTIL, 0)


def test_expired_tokens_take_no_memory():
    tokens = RevokedTokens()
    tokens.may_end_alone("grant", "token", UNTIL, 0)
    tokens.may_end_alone("later", "token", UNTIL + 1, 0)

    tokens.prune(UNTIL)

    assert tokens._grants == {"later": {"token": UNTIL + 1}}
