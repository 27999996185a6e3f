"""What each member of an API key may be, at its exact bounds."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.api_key import ApiKey, new_api_key
from hourpass.core.errors import InvalidRequest, InvalidScope
from hourpass.core.key_members import (
    EDITABLE,
    END_OF_TIME,
    MAX_AUDIENCES,
    MAX_CLAIMS,
    MAX_NETWORKS,
    MAX_TAGS,
    RESERVED_CLAIMS,
    fields,
    members_of_key,
    require_ahead,
)
from hourpass.core.policy import DAY, MAX_RETRY_WINDOW, SECOND

GOOD = [
    ({}, {}),
    ({"name": "x" * 200}, {"name": "x" * 200}),
    ({"scope": "b a  b"}, {"scope": "a b"}),
    ({"environment": "sandbox"}, {"environment": "sandbox"}),
    ({"subject": "account/7"}, {"subject": "account/7"}),
    ({"external_id": "42"}, {"external_id": "42"}),
    ({"external_id": None}, {"external_id": None}),
    ({"audiences": []}, {"audience": None, "more_audiences": ()}),
    ({"audiences": ["b", "a", "b"]}, {"audience": "b", "more_audiences": ("a",)}),
    ({"allowed_ips": ["192.0.2.7", "192.0.2.7/32"]}, {"allowed_ips": ("192.0.2.7/32",)}),
    (
        {"allowed_ips": [f"192.0.2.{number}/32" for number in range(MAX_NETWORKS)]},
        {"allowed_ips": tuple(f"192.0.2.{number}/32" for number in range(MAX_NETWORKS))},
    ),
    ({"tags": {str(number): "" for number in range(MAX_TAGS)}},) * 2,
    ({"retry_window": 0}, {"retry_window": 0}),
    ({"retry_window": MAX_RETRY_WINDOW}, {"retry_window": MAX_RETRY_WINDOW}),
    ({"retry_window": None}, {"retry_window": None}),
    ({"access_token_lifetime": SECOND}, {"access_token_lifetime": SECOND}),
    ({"access_token_lifetime": DAY}, {"access_token_lifetime": DAY}),
    ({"expires_at": 1}, {"expires_at": 1}),
    ({"raw_until": None}, {"raw_until": None}),
    ({"raw_until": END_OF_TIME - 1}, {"raw_until": END_OF_TIME - 1}),
    ({"self_rotation": True}, {"self_rotation": True}),
    ({"claims": {"tenant": "acme", "roles": "a", "seats": 5, "share": 0.5, "on": True, "none": None}},) * 2,
    ({"claims": {"a": "x" * (MAX_CLAIMS - 8)}},) * 2,
    ({"tags": {"team": "billing", "empty": ""}},) * 2,
]


@pytest.mark.parametrize(
    ("members", "found"), GOOD, ids=[str(list(members)) + str(n) for n, (members, _) in enumerate(GOOD)]
)
def test_a_good_member_becomes_fields(members, found):
    pairs = {name: tuple(value.items()) for name, value in found.items() if name in {"claims", "tags"}}

    assert fields(members) == {**found, **pairs}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 201),
        ("name", "a\nb"),
        ("environment", "staging"),
        ("subject", ""),
        ("subject", "a b"),
        ("subject", "ä"),
        ("subject", "x" * 201),
        ("external_id", ""),
        ("audiences", [""]),
        ("audiences", ["a", "b c"]),
        ("audiences", [str(number) for number in range(MAX_AUDIENCES + 1)]),
        ("allowed_ips", ["nowhere"]),
        ("allowed_ips", [f"192.0.2.{number}" for number in range(MAX_NETWORKS + 1)]),
        ("retry_window", -1),
        ("retry_window", MAX_RETRY_WINDOW + 1),
        ("access_token_lifetime", SECOND - 1),
        ("access_token_lifetime", DAY + 1),
        ("expires_at", 0),
        ("raw_until", -1),
        ("raw_until", END_OF_TIME),
        ("expires_at", END_OF_TIME),
        ("claims", {"": "x"}),
        ("claims", {"a=b": "x"}),
        ("claims", {"a\nb": "x"}),
        ("claims", {"x" * 65: "x"}),
        ("claims", {"a": "line\nbreak"}),
        ("claims", {"a": 2**53}),
        ("claims", {"a": float("nan")}),
        ("claims", {"a": float("inf")}),
        ("claims", {"a": ["x"]}),
        ("claims", {"a": "x" * (MAX_CLAIMS - 7)}),
        ("claims", {"a": {"b": "c"}}),
        ("tags", {"": "x"}),
        ("tags", {"a": "x" * 201}),
        ("tags", {"a": "\x00"}),
        ("tags", {str(number): "" for number in range(MAX_TAGS + 1)}),
        ("no_such_member", 1),
    ],
)
def test_a_bad_member_is_refused_by_its_name(name, value):
    with pytest.raises(InvalidRequest) as refused:
        fields({name: value})

    assert refused.value.name == name


KEY = new_api_key("sandbox", bytes(range(32)), "acme")[1]


@pytest.mark.parametrize("name", sorted(EDITABLE | {"subject", "environment", "external_id"}))
@pytest.mark.parametrize("value", [KEY, f"x{KEY}\n", ["x", KEY], {"x": KEY}, {KEY: "x"}, {"x": [KEY]}], ids=type)
def test_no_member_holds_an_api_key_and_no_refusal_repeats_it(name, value):
    with pytest.raises(InvalidRequest) as refused:
        fields({name: value})

    assert refused.value.name == name
    assert KEY[20:30] not in str(refused.value)


def test_what_only_looks_like_an_api_key_is_not_one():
    almost = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")

    assert fields({"name": almost, "subject": KEY[:-10], "retry_window": 5, "tags": {}})["name"] == almost


def test_a_bad_scope_is_an_invalid_scope():
    """RFC 6749 §3.3."""
    with pytest.raises(InvalidScope):
        fields({"scope": 'a"b'})


@pytest.mark.parametrize("scope", ["a,b", "a, b", "a ,b", ","])
def test_scopes_that_are_listed_with_commas_are_refused(scope):
    with pytest.raises(InvalidScope, match="by spaces"):
        fields({"scope": scope})
    with pytest.raises(InvalidRequest, match="by spaces") as refused:
        fields({"max_scope": scope})
    assert refused.value.name == "max_scope"


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_a_claim_that_others_have_defined_is_refused(name):
    with pytest.raises(InvalidRequest, match=name):
        fields({"claims": {name: "x"}})


texts = st.text(st.characters(exclude_categories=("C", "Z")), max_size=1_200)


@given(st.dictionaries(st.from_regex("[a-hj-z]{1,20}_x", fullmatch=True), texts, max_size=4))
def test_the_claims_of_a_key_are_a_kibibyte_at_most_as_json_and_in_headers(claims):
    """Behind nginx the identity headers share a buffer of 4 KiB."""
    size = len(quote(json.dumps(claims, ensure_ascii=False, separators=(",", ":")), safe="".join(map(chr, range(128)))))
    size += sum(text.count("%") for text in claims.values())

    try:
        fields({"claims": claims})
    except InvalidRequest:
        assert size > MAX_CLAIMS
    else:
        assert size <= MAX_CLAIMS


def test_who_a_key_is_for_and_where_cannot_change():
    assert EDITABLE.isdisjoint({"subject", "environment", "external_id"})
    assert {"name", "scope", "audiences", "claims", "tags", "raw_until"} <= EDITABLE


def test_a_role_is_one_of_three():
    assert fields({"admin": "owner"}) == {"admin": "owner"}
    with pytest.raises(InvalidRequest) as refused:
        fields({"admin": "root"})
    assert refused.value.name == "admin"


def test_a_maximum_scope_is_a_scope_which_may_be_empty():
    assert fields({"max_scope": "b a a"}) == {"max_scope": "a b"}
    assert fields({"max_scope": ""}) == {"max_scope": ""}
    assert fields({"max_scope": None}) == {"max_scope": None}
    with pytest.raises(InvalidRequest) as refused:
        fields({"max_scope": 'a"b'})
    assert refused.value.name == "max_scope"


def test_a_prefix_of_subjects_is_not_empty():
    """An empty one would be that of every subject."""
    with pytest.raises(InvalidRequest):
        fields({"subject_prefix": ""})


def test_the_members_of_a_key_are_its_fields_again():
    members = {
        "name": "n",
        "audiences": ("p", "q"),
        "claims": {"seats": 5},
        "tags": {"team": "x"},
        "allowed_ips": ("192.0.2.0/24",),
        "retry_window": 0,
    }
    plain = ApiKey("0aZkey000001", "n", "s", "", "production", None, None, (), 1)
    key = plain._replace(**fields(members))

    assert members_of_key(plain)["audiences"] == ()
    assert members_of_key(key).items() >= members.items()
    assert key._replace(**fields({name: each for name, each in members_of_key(key).items() if name != "admin"})) == key


@pytest.mark.parametrize("end", [None, 1_001])
def test_a_key_may_end_later(end):
    require_ahead(end, 1_000)


@pytest.mark.parametrize("end", [1, 1_000])
def test_nobody_sets_an_end_that_is_over(end):
    """At exactly its end a key is refused already."""
    with pytest.raises(InvalidRequest, match="To end the key now, revoke it") as refused:
        require_ahead(end, 1_000)
    assert refused.value.names == ("expires_at",)
