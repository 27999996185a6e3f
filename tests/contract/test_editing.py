"""Changing an API key: the next look sees it, the audit trail has both values, and an ended key changes no more."""

import json

import pytest
from tests.contract.conftest import KEY, NOW, make_key

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidRequest, InvalidScope, NotFound
from hourpass.core.key_members import MAX_AUDIENCES, MAX_NETWORKS
from hourpass.server.keys.editing import disable_key, enable_key, update_key


@pytest.fixture
def trail(store):
    """The events of the audit trail with their members."""
    return lambda: [(record.event, record.key_id, record.detail, record.actor) for record in store.audit_after(0, 10)]


def test_only_what_differs_is_in_the_trail_with_its_old_value(store, trail):
    store.add_key(make_key(scope="a", tags=(("team", "x"),)))

    members = {"scope": "b a", "audiences": ["p", "q"], "tags": {"team": "y"}, "name": make_key().name}
    key = update_key(store, KEY, members, NOW, actor=Actor("cli:me"))

    assert store.key(KEY) == key
    assert (key.scope, key.audience, key.more_audiences) == ("a b", "p", ("q",))
    old = {"scope": "a", "audiences": [], "tags": {"team": "x"}}
    new = {"scope": "a b", "audiences": ["p", "q"], "tags": {"team": "y"}}
    assert trail() == [("key.updated", KEY, {"old": old, "new": new}, "cli:me")]


def test_a_long_value_is_cut_in_the_trail_however_long_it_is(store, trail):
    """Who may change a key could fill the trail otherwise: a delegated caller changes tags 600 times a minute."""
    many = {f"tag {number}": "\N{GRINNING FACE}" * 200 for number in range(32)}
    scope = " ".join(f"right-{number}" for number in range(50))
    networks = [f"2001:db8:{number:x}:ffff:ffff:ffff:ffff:0/112" for number in range(MAX_NETWORKS)]
    audiences = [f"https://{number}".ljust(200, "x") for number in range(MAX_AUDIENCES)]
    store.add_key(make_key())

    long = {"scope": scope, "audiences": audiences, "allowed_ips": networks}
    update_key(store, KEY, {"tags": many, **long}, NOW, actor=Actor("key:x"))
    update_key(store, KEY, {"tags": {"new": "1"}}, NOW, actor=Actor("key:x"))

    (_, _, first, _), (_, _, second, _) = trail()
    assert len(json.dumps(first, ensure_ascii=False).encode()) < 6_000
    assert all("… (cut, " in first["new"][name] for name in ("tags", "audiences", "allowed_ips"))
    assert first["new"]["scope"] == store.key(KEY).scope
    assert second["new"] == {"tags": {"new": "1"}}
    assert second["old"]["tags"].startswith('{"tag 0":"\N{GRINNING FACE}')


def test_a_change_that_changes_nothing_leaves_no_line_and_no_new_version(store, trail):
    store.add_key(make_key(scope="a"))
    before = store.control().version

    update_key(store, KEY, {"scope": "a"}, NOW, actor=Actor("cli:me"))

    assert trail() == []
    assert store.control().version == before


def test_the_end_of_raw_use_knows_since_when_it_is_set(store):
    """RFC 9745 §2: `Deprecation` says when it was set."""
    store.add_key(make_key())

    assert update_key(store, KEY, {"raw_until": NOW + 9}, NOW + 1, actor=Actor("a")).raw_until_set_at == NOW + 1
    assert update_key(store, KEY, {"raw_until": NOW + 9}, NOW + 2, actor=Actor("a")).raw_until_set_at == NOW + 1
    assert update_key(store, KEY, {"raw_until": None}, NOW + 3, actor=Actor("a")).raw_until_set_at is None


def test_a_key_is_disabled_once_and_enabled_once(store, trail):
    store.add_key(make_key())

    assert disable_key(store, KEY, NOW + 1, actor=Actor("a")) is True
    assert disable_key(store, KEY, NOW + 2, actor=Actor("a")) is False
    assert store.key(KEY) == make_key(disabled_at=NOW + 1)
    assert enable_key(store, KEY, NOW + 3, actor=Actor("a")) is True
    assert enable_key(store, KEY, NOW + 4, actor=Actor("a")) is False
    assert store.key(KEY) == make_key()
    assert [event for event, *_ in trail()] == ["key.disabled", "key.enabled"]


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"subject": "bob"}, InvalidRequest),
        ({"environment": "sandbox"}, InvalidRequest),
        ({"key_id": "x"}, InvalidRequest),
        ({"scope": '"'}, InvalidScope),
        ({"claims": {"sub": "x"}}, InvalidRequest),
    ],
)
def test_a_change_that_is_refused_changes_nothing(store, trail, members, error):
    store.add_key(make_key())

    with pytest.raises(error):
        update_key(store, KEY, {"name": "new", **members}, NOW, actor=Actor("a"))

    assert store.key(KEY) == make_key()
    assert trail() == []


@pytest.mark.parametrize("disabled_at", [None, NOW])
@pytest.mark.parametrize("change", [update_key, disable_key, enable_key])
def test_an_ended_or_unknown_key_changes_no_more(store, change, disabled_at):
    ended = make_key(revoked_at=NOW, disabled_at=disabled_at)
    store.add_key(ended)
    more = ({"name": "new"},) if change is update_key else ()

    with pytest.raises(InvalidRequest):
        change(store, KEY, *more, NOW, actor=Actor("a"))
    with pytest.raises(NotFound):
        change(store, "nosuchkey000", *more, NOW, actor=Actor("a"))

    assert store.key(KEY) == ended


@pytest.mark.parametrize(("was", "becomes"), [(1, True), (0, False), (1.0, 1), (True, 1)])
def test_values_that_python_takes_for_the_same_are_a_change(store, trail, was, becomes):
    store.add_key(make_key(claims=(("n", was),)))

    update_key(store, KEY, {"claims": {"n": becomes}}, NOW, actor=Actor("a"))

    assert repr(store.key(KEY).claims) == repr((("n", becomes),))
    assert len(trail()) == 1
