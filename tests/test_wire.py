"""The wire: the input of strangers, its refusals by name, and the exact bytes of the answers."""

import contextlib
import json
from email.utils import formatdate
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.claims import UnverifiedClaims
from hourpass.core.errors import InvalidRequest
from hourpass.wire.identity import raw_key_end
from hourpass.wire.problems import OAuthError, Problem
from hourpass.wire.reading import MAX_DEPTH, read_exchange, read_form, read_refresh
from hourpass.wire.shapes import ExchangeRequest, Introspection, OAuthTokenAnswer, RefreshRequest, TokenAnswer, encode

READERS = [(read_exchange, "apiKey"), (read_refresh, "refreshToken")]
BOTH = pytest.mark.parametrize(("read", "member"), READERS, ids=["exchange", "refresh"])


def refused_name(read, body: bytes) -> str:
    """The offending member that the refusal names, or an empty text for the body as a whole."""
    with pytest.raises(InvalidRequest) as refusal:
        read(body)
    return refusal.value.name


def test_an_exchange_is_read_with_all_that_may_be_asked_for():
    body = b'{"apiKey":"k","scope":"a b","expiresIn":60,"audience":"https://api.example"}'

    assert read_exchange(body) == ExchangeRequest("k", "a b", 60, "https://api.example")


def test_a_refresh_is_read_with_all_that_may_be_asked_for():
    assert read_refresh(b'{"refreshToken":"t","scope":"","expiresIn":1}') == RefreshRequest("t", "", 1)


@BOTH
@pytest.mark.parametrize(
    "template",
    [
        '{"%s":"x"}',
        '{"%s":"x"}\n',
        ' \t\r\n{ "%s" : "x" } \n',
        '{"%s":"\\u0078"}',
        '{"unknown":1,"%s":"x","caf\N{LATIN SMALL LETTER E WITH ACUTE}":null}',
        '{"%s":"x","scope":null,"expiresIn":null}',
        '{"%s":"x","nested":{"a":[1,{"b":2.5e3}]}}',
    ],
    ids=ascii,
)
def test_spelling_and_unknown_members_do_not_matter(read, member, template):
    assert read((template % member).encode()) == read(b'{"%b":"x"}' % member.encode())


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}x",
        b"apiKey=k",
        b"{'apiKey':'k'}",
        b'{"apiKey":"k","refreshToken":"t",}',
        b'{"apiKey":"k","refreshToken":"t"}{}',
        b'{"apiKey":"k\n","refreshToken":"t\n"}',
        b'{"apiKey":"\\ud800","refreshToken":"\\ud800"}',
        b'{"apiKey":"k","refreshToken":"t","expiresIn":NaN}',
        b'\xef\xbb\xbf{"apiKey":"k","refreshToken":"t"}',
        b'{"apiKey":"\xff","refreshToken":"\xff"}',
        b'{"apiKey":"\xed\xa0\x80","refreshToken":"\xed\xa0\x80"}',
        b'{"apiKey":"\xc0\xaf","refreshToken":"\xc0\xaf"}',
        b'{"apiKey":"k","refreshToken":"t","unknown":"\xff"}',
        '{"apiKey":"k","refreshToken":"t"}'.encode("utf-16"),
        '{"apiKey":"k","refreshToken":"t"}'.encode("utf-32-le"),
        b"null",
        b'"apiKey"',
        b"[]",
        b'[{"apiKey":"k","refreshToken":"t"}]',
    ],
    ids=repr,
)
def test_a_body_that_is_not_a_json_object_in_utf_8_is_refused_as_a_whole(read, member, body):
    assert refused_name(read, body) == ""


@BOTH
@pytest.mark.parametrize("template", ["{}", '{"scope":"a"}', '{"scope":1}', '{"%S":"x"}', '{"x":{"%s":"x"}}'])
def test_a_missing_member_is_named(read, member, template):
    body = template.replace("%S", member.upper()).replace("%s", member)

    assert refused_name(read, body.encode()) == member


@BOTH
@pytest.mark.parametrize("value", ["null", "1", "true", "[]", "{}", '["x"]'])
def test_a_credential_of_the_wrong_type_is_named(read, member, value):
    assert refused_name(read, f'{{"{member}":{value}}}'.encode()) == member


@BOTH
@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("scope", "1"),
        ("scope", '["a"]'),
        ("expiresIn", '"60"'),
        ("expiresIn", "true"),
        ("expiresIn", "60.0"),
        ("expiresIn", "6e1"),
        ("expiresIn", "{}"),
    ],
)
def test_a_member_of_the_wrong_type_is_named(read, member, asked, value):
    assert refused_name(read, f'{{"{member}":"x","{asked}":{value}}}'.encode()) == asked


def test_an_audience_of_the_wrong_type_is_named():
    assert refused_name(read_exchange, b'{"apiKey":"k","audience":["a"]}') == "audience"


def test_all_members_at_fault_are_named_and_the_first_one_first():
    with pytest.raises(InvalidRequest) as refusal:
        read_exchange(b'{"expiresIn":"x","scope":1,"apiKey":"k"}')

    assert refusal.value.names == ("scope", "expiresIn")
    assert refusal.value.name == "scope"


def test_a_wrong_value_is_refused_even_if_a_later_one_replaces_it():
    assert refused_name(read_exchange, b'{"apiKey":1,"apiKey":"k"}') == ""


def nested(depth: int, filling: str = "") -> bytes:
    """A good request whose deepest bracket is at this depth. The object itself is depth 1."""
    lists = depth - 1
    return f'{{"apiKey":"k","x":{"[" * lists}{filling}{"]" * lists}}}'.encode()


def test_json_may_be_16_deep_and_no_deeper():
    assert read_exchange(nested(16)).api_key == "k"
    assert refused_name(read_exchange, nested(17)) == ""


@pytest.mark.parametrize("opening", ['{"a":', "[", '[{"a":'])
def test_objects_and_lists_are_equally_deep(opening):
    brackets = opening.count("[") + opening.count("{")
    closing = opening.replace('"a":', "")[::-1].translate(str.maketrans("[{", "]}"))

    def body(times: int) -> bytes:
        return f'{{"apiKey":"k","x":{opening * times}1{closing * times}}}'.encode()

    assert read_exchange(body(15 // brackets)).api_key == "k"
    assert refused_name(read_exchange, body(15 // brackets + 1)) == ""


@pytest.mark.parametrize(
    "filling",
    ['"[[[["', r'"\"[[[["', r'"\\\"{{{{"', r'"[\\"', '"é[[[["', r'"[","[","\\","["'],
)
def test_brackets_inside_strings_add_no_depth(filling):
    assert read_exchange(nested(16, filling)).api_key == "k"


@pytest.mark.parametrize("filling", ['"",[]', r'"\\",[]', r'"\"",[]', '"]]]]",[]', r'"\\\"]]",{}'])
def test_a_string_does_not_hide_the_bracket_after_it(filling):
    assert read_exchange(nested(15, filling)).api_key == "k"
    assert refused_name(read_exchange, nested(16, filling)) == ""


def test_wide_is_not_deep():
    assert read_exchange(nested(2, ",".join(["[[{}]]"] * 1_000))).api_key == "k"


@given(st.integers(2, 40), st.lists(st.sampled_from(['"["', r'"\""', r'"\\"', "[]", "{}", "1"]), max_size=4))
def test_the_depth_that_is_counted_is_the_depth_that_a_parser_sees(depth, items):
    body = nested(depth, ",".join(items))

    def depth_of(value: object) -> int:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if members is None else 1 + max(map(depth_of, members), default=0)

    if depth_of(json.loads(body)) <= MAX_DEPTH:
        assert read_exchange(body).api_key == "k"
    else:
        assert refused_name(read_exchange, body) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.sampled_from(["apiKey", "scope"]), children),
    max_leaves=20,
)
bodies = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.integers(0, 5_000).map(lambda digits: b'{"apiKey":"k","refreshToken":"t","expiresIn":1%b}' % (b"0" * digits))
)


@BOTH
@given(body=bodies)
def test_any_bytes_are_read_or_refused_as_an_invalid_request(read, member, body):
    with contextlib.suppress(InvalidRequest):
        assert isinstance(read(body), ExchangeRequest | RefreshRequest)


def test_the_token_answer_is_these_bytes():
    """The contract's four members, compact and in this order. Official clients parse them with little care."""
    answer = encode(TokenAnswer("Bearer", 3_600, "eyJ0eXAiO.a", "eyJ0eXAiO.r"))

    assert answer == (
        b'{"token_type":"Bearer","expires_in":3600,"access_token":"eyJ0eXAiO.a","refresh_token":"eyJ0eXAiO.r"}'
    )


@pytest.mark.parametrize("scope", ["", "a b", 'a"b\\c'])
def test_the_oauth_answer_carries_the_scope_as_well(scope):
    answer = encode(OAuthTokenAnswer("Bearer", 1, "a", "r", scope))

    assert json.loads(answer) == {
        "token_type": "Bearer",
        "expires_in": 1,
        "access_token": "a",
        "refresh_token": "r",
        "scope": scope,
    }


def test_an_introspection_may_say_every_claim_and_says_nothing_that_is_unknown():
    """RFC 7662 §2.2: all but `active` may be missing."""
    members = [field.name for field in msgspec.structs.fields(Introspection)]

    assert members == ["active", "token_type", *UnverifiedClaims._fields]
    assert encode(Introspection(active=False)) == b'{"active":false}'


def test_a_problem_always_has_its_four_members_and_others_only_if_they_say_something():
    """RFC 9457. One client reads `title` without looking."""
    assert encode(Problem("about:blank", "Gone.", "", 400)) == (
        b'{"type":"about:blank","title":"Gone.","name":"","status":400}'
    )
    assert encode(OAuthError("invalid_grant")) == b'{"error":"invalid_grant"}'


@pytest.mark.parametrize(
    "shape",
    [
        ExchangeRequest("hush-hush"),
        RefreshRequest("hush-hush"),
        TokenAnswer("Bearer", 1, "hush-hush", "hush-hush"),
    ],
    ids=lambda shape: type(shape).__name__,
)
def test_no_repr_shows_a_secret(shape):
    assert "hush" not in repr(shape) + str(shape) + f"{shape}"
    assert b"hush" in msgspec.json.encode(shape)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (
            b"grant_type=refresh_token&refresh_token=a.b-c_d",
            {"grant_type": "refresh_token", "refresh_token": "a.b-c_d"},
        ),
        (b"scope=a+b%20c", {"scope": "a b c"}),
        (b"scope=", {}),
        (b"scope=&x=1", {"x": "1"}),
        (b"x=caf%C3%A9", {"x": "café"}),
        (b"x=a=b", {"x": "a=b"}),
        (b"x=a;y=b", {"x": "a;y=b"}),
        (b"&".join(b"f%d=1" % n for n in range(32)), {f"f{n}": "1" for n in range(32)}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_form_is_read_and_an_empty_value_is_treated_as_absent(body, fields):
    """RFC 6749 §3.2 and appendix B."""
    assert read_form(body) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"scope=a&scope=b",
        b"scope=&scope=",
        b"scope=a&sc%6Fpe=b",
        b"scope",
        b"&scope",
        b'{"scope":"a"}',
        b"x=\xc3\xa9",
        b"x=%ff",
        b"x=%C3",
        b"&".join(b"f%d=1" % n for n in range(33)),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_a_form_that_repeats_a_parameter_or_is_not_a_form_is_refused(body):
    """RFC 6749 §3.2: request parameters must not be included more than once."""
    assert refused_name(read_form, body) == ""


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"&", {}),
        (b"&&&", {}),
        (b"scope=a&", {"scope": "a"}),
        (b"&scope=a", {"scope": "a"}),
        (b"scope=a&&x=1", {"scope": "a", "x": "1"}),
        (b"&&scope=a&&&x=1&&", {"scope": "a", "x": "1"}),
    ],
)
def test_an_empty_pair_is_skipped(body, fields):
    """WHATWG URL §5.1: an empty sequence between two ampersands is passed over."""
    assert read_form(body) == fields


def test_empty_pairs_do_not_add_up_to_too_many_fields():
    assert read_form(b"&" * 60_000 + b"x=1" + b"&" * 5_000) == {"x": "1"}


@given(st.binary() | st.text("&=%+;ab0", max_size=20).map(str.encode))
def test_any_form_is_read_or_refused(body):
    with contextlib.suppress(InvalidRequest):
        assert all(read_form(body).values())


@given(
    st.recursive(
        st.sampled_from([None, "[", "]{", '\\"[', "\\"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["{", '"', "\\"]), inner, max_size=2)
        ),
        max_leaves=8,
    ),
    st.integers(0, 20),
)
def test_a_body_is_too_deep_beyond_16_not_counting_brackets_in_strings(value, more):
    body = {"apiKey": "a", "x": value}
    for _ in range(more):
        body = {"apiKey": "a", "x": [body]} if more % 2 else {"apiKey": "a", "x": body}

    def depth(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    raw = json.dumps(body).encode()
    if depth(body) <= MAX_DEPTH:
        assert read_exchange(raw).api_key == "a"
    else:
        assert refused_name(read_exchange, raw) == ""


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=8))
def test_a_form_is_read_as_the_standard_library_writes_it(fields):
    assert read_form(urlencode(fields).encode()) == fields


@pytest.mark.parametrize("body", [b"a=%", b"a=%4", b"a=%zz", b"%=a", b"a=%%41"])
def test_a_form_with_a_broken_escape_is_refused(body):
    assert refused_name(read_form, body) == ""


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"a=_b", {"a": "_b"}),
        (b"a==3D", {"a": "=3D"}),
        (b"a=b=", {"a": "b="}),
        (b"a=%0D%0A%3D", {"a": "\r\n="}),
        (b"a=b \t", {"a": "b \t"}),
        (b"a=%2B+%25", {"a": "+ %"}),
    ],
)
def test_a_form_that_looks_like_quoted_printable_is_read_as_a_form(body, fields):
    assert read_form(body) == fields


@pytest.mark.parametrize(
    ("until", "set_at", "expected"),
    [
        (None, None, ("", "")),
        (None, 5_000, ("", "")),
        (1_000, None, ("Thu, 01 Jan 1970 00:00:01 GMT", "")),
        (1_688_169_599_999, 1_688_169_599_999, ("Fri, 30 Jun 2023 23:59:59 GMT", "@1688169599")),
        (951_782_400_000, 0, ("Tue, 29 Feb 2000 00:00:00 GMT", "@0")),
    ],
)
def test_the_end_of_a_raw_key_is_written_as_the_two_standards_have_it(until, set_at, expected):
    """RFC 8594 §3: an HTTP date. RFC 9745 §2.1: `@` and epoch seconds."""
    assert raw_key_end(until, set_at) == expected


@given(st.integers(0, 253_402_300_799))
def test_an_http_date_is_what_the_standard_library_writes(seconds):
    assert raw_key_end(seconds * 1_000, None)[0] == formatdate(seconds, usegmt=True)
