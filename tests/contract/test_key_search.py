"""A search for keys finds what the filter takes, page by page, however the database narrows it."""

import hashlib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.conftest import NOW, make_key

from hourpass.core.api_key import KeySecret, key_state
from hourpass.core.attention import EXPIRES_SOON, KeyNumbers, RawNumbers
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUse
from hourpass.core.policy import DAY
from hourpass.server.keys.listing import find_keys, keys_page
from hourpass.server.store.key_uses import KeyUse

ALPHABET = "aAbkKiIsS ss%_!\\'\"{}:,éÉßſİıK請"
"""Letters that change with their case into others, or into several, and what patterns and JSON have a meaning for."""

texts = st.text("aAbk%_", max_size=5) | st.text(ALPHABET, max_size=5)
instants = st.integers(NOW - 3, NOW + 3)
maybe = st.none() | instants
pairs = st.dictionaries(st.sampled_from(["team", "Team", "t%"]), texts, max_size=2)


@st.composite
def keys(draw):
    """A key, and when it was used."""
    key_id = draw(st.text("0123aAbBzZ", min_size=12, max_size=12))
    secrets = [
        KeySecret(hashlib.sha256(f"{key_id}{n}".encode()).digest(), n, NOW, ends_at=draw(maybe))
        for n in range(draw(st.integers(1, 3)))
    ]
    key = make_key(
        key_id,
        name=draw(texts),
        subject=draw(texts),
        tags=tuple(draw(pairs).items()),
        created_at=draw(instants),
        expires_at=draw(maybe),
        revoked_at=draw(maybe),
        disabled_at=draw(maybe),
        raw_until=draw(maybe),
        admin=draw(st.sampled_from([None, "owner", "auditor"])),
        external_id=draw(st.none() | texts.map(lambda text: text + key_id)),
        secrets=tuple(secrets),
    )
    return key, draw(st.dictionaries(st.sampled_from(["raw", "exchanged", "refreshed"]), instants))


filters = st.builds(
    KeyFilter,
    state=st.none() | st.sampled_from(["active", "disabled", "expired", "revoked"]),
    subject=st.none() | texts,
    tags=pairs.map(lambda tags: tuple(tags.items())),
    expires_before=maybe,
    raw_since=maybe,
    unused_since=maybe,
    external_id=st.none() | texts,
    next_secret_waits=st.booleans(),
    text=st.none() | texts,
    subject_prefix=st.none() | texts,
    admin=st.sampled_from([None, "any", "owner", "operator"]),
)


def alone(wanted: KeyFilter):
    """The filter, and each of its conditions as a filter of its own."""
    return [wanted, *(KeyFilter(**{name: value}) for name, value in wanted._asdict().items())]


def put(store, found) -> None:
    store.rollback()  # what the example before this one has put there
    store.begin(wait=True)
    for key, uses in found:
        store.add_key(key)
        store.keep_uses([KeyUse(key.key_id, kind, at, None) for kind, at in uses.items()])


def taken(found, wanted: KeyFilter) -> list[str]:
    return sorted(
        key.key_id
        for key, uses in found
        if wanted.takes(key, NOW, {kind: LastUse(at, None) for kind, at in uses.items()})
    )


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=st.lists(keys(), min_size=1, max_size=6, unique_by=lambda each: each[0].key_id), wanted=filters)
def test_the_database_drops_nothing_that_the_filter_takes(store, found, wanted):
    put(store, found)

    for each in alone(wanted):
        assert [key.key_id for key, _ in find_keys(store, each, NOW)] == taken(found, each)
        # Else a search among many keys would read all of them. The database does not know the case of tags, and where
        # one text ends and the next begins.
        if not each.tags and " " not in (each.text or ""):
            assert store.find_keys(each, NOW, "", 100) == taken(found, each)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=st.lists(keys(), max_size=6, unique_by=lambda each: each[0].key_id))
def test_keys_are_counted_as_the_rules_would(store, found):
    put(store, found)
    states = Counter(key_state(key, NOW) for key, _ in found)
    alive = [key for key, _ in found if key_state(key, NOW) in {"active", "disabled"}]
    raw = [(key, uses["raw"]) for key, uses in found if "raw" in uses]

    assert store.key_numbers(NOW) == KeyNumbers(
        states["active"],
        states["disabled"],
        states["expired"],
        states["revoked"],
        expiring=len(taken(found, KeyFilter(expires_before=NOW + EXPIRES_SOON))),
        raw_until_set=sum(key.raw_until is not None for key in alive),
    )
    for later in (0, DAY - 1, DAY, DAY + 1, 7 * DAY):
        now = NOW + later
        assert store.raw_numbers(now) == RawNumbers(
            day=sum(at >= now - DAY for _, at in raw),
            week=sum(at >= now - 7 * DAY for _, at in raw),
            after_end=sum(key.raw_until is not None and at >= max(key.raw_until, now - 7 * DAY) for key, at in raw),
        )


@pytest.mark.parametrize("ended", [{"revoked_at": NOW}, {"expires_at": NOW}, {"disabled_at": NOW}])
def test_a_leaked_key_is_counted_until_it_has_ended(store, ended):
    """A report names the key twice if two of its secrets leaked."""
    ended_secret = KeySecret(bytes(32), 1, NOW, ends_at=NOW)
    leaked = make_key("0" * 12, secrets=(*make_key("0" * 12).secrets, KeySecret(b"2" * 32, 2, NOW)))
    for key in (leaked, make_key("1" * 12, **ended), make_key("2" * 12, secrets=(ended_secret,)), make_key("3" * 12)):
        store.add_key(key)
        for secret in key.secrets if key.key_id != "3" * 12 else ():
            store.note_leak(secret.digest, key.key_id, NOW)

    assert store.key_numbers(NOW).leaked == 1


KEYS = [make_key(f"{letter * 12}", name=f"Key {letter}", subject=f"acme/{letter}") for letter in "09AZaz"]


@pytest.fixture
def stocked(store):
    for key in KEYS[::-1]:
        store.add_key(key)
    return store


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7, 200])
def test_pages_lead_to_the_end_in_the_order_of_the_ids(stocked, limit):
    found, after = [], ""
    while after is not None:
        page = keys_page(stocked, KeyFilter(), NOW, after, limit)
        assert 0 < len(page.keys) <= limit
        found += [key for key, _ in page.keys]
        after = page.next

    assert found == KEYS


def test_a_page_that_holds_the_last_key_says_that_it_is_the_last(stocked):
    assert keys_page(stocked, KeyFilter(), NOW, limit=len(KEYS)).next is None
    assert keys_page(stocked, KeyFilter(text="key Z"), NOW, limit=1).next == "Z" * 12
    assert keys_page(stocked, KeyFilter(text="nothing"), NOW, limit=1) == ([], None)


@pytest.mark.parametrize(
    ("text", "letters"),
    [("KEY a", "Aa"), ("ACME/z", "Zz"), ("aaaaaaaaaaaa", "Aa"), ("%", ""), ("_", ""), ("ey_", ""), ("", "09AZaz")],
)
def test_a_text_is_found_in_name_subject_and_id_in_either_case(stocked, text, letters):
    found = [key.key_id[0] for key, _ in find_keys(stocked, KeyFilter(text=text), NOW)]

    assert found == list(letters)


def test_the_provider_s_id_is_searched_and_letters_beyond_ascii_have_a_case(store):
    store.add_key(make_key("000000000001", name="MÜLLER", external_id="EXT-7"))
    store.add_key(make_key("000000000002", name="Straße"))

    for text, key_id in {"müller": "000000000001", "ext-7": "000000000001", "STRASSE": "000000000002"}.items():
        assert [key.key_id for key, _ in find_keys(store, KeyFilter(text=text), NOW)] == [key_id]


def test_how_a_subject_begins_is_taken_letter_by_letter(stocked):
    """It is what a delegated admin key may see: no pattern and no other case of it is enough."""
    for prefix, letters in {"acme/": "09AZaz", "acme/a": "a", "ACME/": "", "acme_": "", "%": "", "": "09AZaz"}.items():
        found = [key.key_id[0] for key, _ in find_keys(stocked, KeyFilter(subject_prefix=prefix), NOW)]
        assert found == list(letters)


def test_last_uses_of_many_keys_are_those_of_each(stocked):
    stocked.keep_uses([KeyUse(key.key_id, "raw", NOW + n, None) for n, key in enumerate(KEYS[:3])])
    asked = [KEYS[1].key_id, KEYS[4].key_id]

    assert stocked.uses_of_keys(asked) == {KEYS[1].key_id: {"raw": LastUse(NOW + 1, None)}}
