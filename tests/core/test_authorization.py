"""Reading an `Authorization` header: one scheme, one credential, nothing repaired."""

import contextlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.authorization import (
    BASIC,
    MAX_BASIC_LENGTH,
    Basic,
    KeySources,
    RawKey,
    claim_header,
    read_authorization,
    read_credential,
    read_key_source,
    read_key_sources,
    reader,
)
from hourpass.core.errors import InvalidRequest

BEARER = KeySources(bearer=True)
HEADER = KeySources(headers=(b"x-api-key", b"api-key"))
EVERYWHERE = KeySources(True, True, (b"x-api-key", b"api-key"))

KEY = b"provider-key-0123"
TOKEN = b"eyJhbGciOi.eyJpc3Mi.c2ln"


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


def read(*values: bytes, sources: KeySources = BASIC, **others: bytes):
    """What is read of these `Authorization` headers beside a host's, and of others: `x_api_key` is `x-api-key`."""
    headers = [(b"host", b"api.test"), *((b"authorization", value) for value in values)]
    headers += [(name.replace("_", "-").encode(), value) for name, value in others.items()]
    return reader(sources)(headers)


def verdict(*values: bytes, **options):
    """The same, with a refusal as its words."""
    try:
        return read(*values, **options)
    except InvalidRequest as refusal:
        return str(refusal)


@pytest.mark.parametrize(
    "value",
    [b"Bearer a.b.c", b"bearer a.b.c", b"BEARER a.b.c", b"Bearer   a.b.c", b"Bearer a.b.c \t ", b"bEaReR a.b.c\t"],
)
def test_a_bearer_token_is_read_in_any_case_and_with_any_spaces_around_it(value):
    """RFC 9110 §11.1: the scheme is case-insensitive. §11.4: 1*SP follows it."""
    assert read(value) == b"a.b.c"


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer",
        b"Bearer ",
        b"Bearer \t",
        b"Bearer\t",
        b"Bearer a b",
        b"bearer  a\t b",
        b"Bearer a, Bearer b",
        b"Bearer a,Bearer b",
    ],
)
def test_a_bearer_header_without_exactly_one_token_is_malformed(value):
    with pytest.raises(InvalidRequest):
        read(value)


@pytest.mark.parametrize("token", [b"\ta", b"\xa0a", b"a\x0c", b"a,b", b'"a"', b"a\x00", b"a" * 100_000])
@pytest.mark.parametrize("spaces", [b" ", b"  "], ids=["one space", "two spaces"])
def test_the_reader_leaves_the_content_of_a_token_to_the_verifier(token, spaces):
    """RFC 6750 §3.1: a malformed token is `invalid_token`."""
    assert read(b"Bearer" + spaces + token) == token


@pytest.mark.parametrize(
    "value", [b"", b" ", b"a.b.c", b"Digest x", b"Bearers a", b"Bearer=a", b"Bearer\ta", b" Bearer a"]
)
def test_another_scheme_is_not_a_credential(value):
    assert read(value) is None


@pytest.mark.parametrize(
    ("value", "user", "password"),
    [
        (basic(b"key:secret"), "key", "secret"),
        (basic(b"key:"), "key", ""),
        (basic(b":secret"), "", "secret"),
        (basic(b":"), "", ""),
        (basic(b"key:a:b"), "key", "a:b"),
        (basic("clé:ü".encode()), "clé", "ü"),
        (b"bAsIc   " + b64encode(b"key:x") + b" \t", "key", "x"),
    ],
)
def test_basic_splits_at_the_first_colon(value, user, password):
    """RFC 7617 §2."""
    assert read(value) == Basic(user, password)


@pytest.mark.parametrize(
    "value",
    [
        b"Basic",
        b"Basic ",
        basic(b"no colon"),
        basic(b"\xff:x"),
        basic(b"key:secret")[:-1],
        basic(b"key:secret") + b"=",
        b"Basic a2V5 OnNlY3JldA==",
        b"Basic a2V5\nOnNlY3JldA==",
        b"Basic \xc3\xa9",
        basic(b"k:s") + b", " + basic(b"k:s"),
    ],
)
def test_basic_that_is_not_base64_of_a_pair_is_malformed(value):
    with pytest.raises(InvalidRequest):
        read(value)


def test_basic_is_read_up_to_a_length():
    longest = b"a:" + b"a" * (MAX_BASIC_LENGTH * 3 // 4 - 2)

    assert read(basic(longest)) == Basic("a", longest[2:].decode())
    with pytest.raises(InvalidRequest, match="too long"):
        read(basic(longest + b"a"))


def test_no_header_no_credential():
    assert read() is None


@pytest.mark.parametrize("second", [b"Bearer a", b"Bearer b", b"", b"Negotiate x", basic(b"k:s")])
def test_several_headers_are_refused_with_any_content(second):
    """RFC 9110 §5.3: Authorization is not a list."""
    for values in ([b"Bearer a", second], [second, b"Bearer a"]):
        with pytest.raises(InvalidRequest):
            read(*values)


def test_no_repr_shows_a_password():
    assert repr(Basic("user", "password")) == "Basic(…)"


schemes = st.sampled_from([b"", b"Bearer ", b"Basic ", b"bearer\t", b"basic"])


@given(schemes, st.binary(max_size=64) | st.binary(max_size=24).map(b64encode))
def test_any_bytes_are_read_or_refused(scheme, rest):
    with contextlib.suppress(InvalidRequest):
        assert isinstance(read(scheme + rest), bytes | Basic | None)


@given(st.binary(max_size=64))
def test_one_space_or_two_and_the_scheme_in_any_case_make_no_difference(rest):
    assert verdict(b"Bearer " + rest) == verdict(b"Bearer  " + rest) == verdict(b"bearer " + rest)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("basic", "basic"),
        ("bearer", "bearer"),
        ("header:X-API-Key", "header:x-api-key"),
        ("header:api-key", "header:api-key"),
        ("header:X-Auth-2", "header:x-auth-2"),
        ("header:hourly", "header:hourly"),
    ],
)
def test_a_source_is_read_into_its_normal_form(text, normal):
    assert read_key_source(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "Basic",
            "basic:",
            "bearer:x",
            "header",
            "header:",
            "header: ",
            "header:X API",
            "header:X\n",
            "header:X\x00",
        ),
        *("header:Clé", "header:X_API_Key", "header:X.Key", "header:X:Y", "header:" + "x" * 101),
        *("header:Hourpass-Key", "header:HOURPASS-Subject", "header:hourpassword", "header:Host"),
        *("header:Content-Length", "header:Authorization", "header:Cookie", "header:X-Forwarded-For", "header:TE"),
        *("query:key", "query:", "cookie", "cookie:key", "basic bearer"),
    ],
)
def test_a_place_where_a_key_must_not_be_is_refused(text):
    """A URL and a cookie leak, a header of HTTP's own means something else, and identity headers are the server's."""
    with pytest.raises(ValueError, match=r"header|basic, bearer"):
        read_key_source(text)


@pytest.mark.parametrize(
    ("name", "normal"),
    [("X-Tenant", "x-tenant"), ("Hourpass-Claim-Tenant", "hourpass-claim-tenant"), ("HOURPASS-CLAIM-X-Y", None)],
)
def test_a_claim_may_have_a_header_of_the_operators_own_or_of_the_family(name, normal):
    assert claim_header(name) == (normal or name.lower())


@pytest.mark.parametrize(
    "name",
    ["", "Host", "Hourpass-Subject", "Hourpass-Claim", "Hourpass-Claim-", "Hourpass-Claim-A_B", "Hourpass-Claims-A"],
)
def test_a_claim_has_no_header_that_means_something_else(name):
    with pytest.raises(ValueError, match=r"header|Hourpass-Claim-"):
        claim_header(name)


@pytest.mark.parametrize("name", ["Hourpass-Claim-Tenant", "Hourpass-Key"])
def test_a_key_never_comes_in_a_header_of_the_family(name):
    """A proxy drops it."""
    with pytest.raises(ValueError, match="something else"):
        read_key_source(f"header:{name}")


def test_sources_are_read_once_each():
    assert read_key_sources([]) == KeySources()
    assert read_key_sources(["bearer", "header:X-Key", "header:x-key", "basic"]) == KeySources(True, True, (b"x-key",))


@pytest.mark.parametrize(("sources", "accepted"), [(BASIC, True), (EVERYWHERE, True), (BEARER, False), (HEADER, False)])
def test_basic_is_read_in_any_case_and_accepted_as_a_key_where_it_is_a_source(sources, accepted):
    credential = read(basic(KEY + b":x"), sources=sources)

    assert credential == Basic(KEY.decode(), "x")
    assert credential.unverified_key == KEY.decode()
    assert sources.accepts(credential) is accepted
    assert sources.accepts(RawKey("k"))


@pytest.mark.parametrize("sources", [BASIC, KeySources(), HEADER])
def test_a_bearer_credential_is_a_token_where_no_key_may_come_so(sources):
    assert read(b"Bearer " + KEY, sources=sources) == KEY


@pytest.mark.parametrize("value", [b"Bearer ", b"bearer ", b"BEARER   "])
@pytest.mark.parametrize(
    ("credential", "is_key"),
    [
        (KEY, True),
        (b"hp_production_x", True),
        (b"SG.abc.def", True),
        (b"eyJ-a-key-that-begins-so", True),
        (b"eyJa.b", True),
        (b"eyJa.b.c.d", True),
        (b"key:with:colons", True),
        (b"x" * 512, True),
        (b"x" * 513, False),
        (TOKEN, False),
        (b"eyJ..", False),
        (b"\xff", False),
        (b"\x00", False),
        (b"a\x7f", False),
    ],
)
def test_a_bearer_credential_is_a_key_if_it_cannot_be_a_token(credential, is_key, value):
    """A token has three parts, of which the first is a JSON object: `{"` is `eyJ` in base64."""
    expected = RawKey(credential.decode()) if is_key else credential

    assert read(value + credential, sources=BEARER) == expected


def test_a_bearer_key_with_a_comma_is_refused():
    """RFC 9110 §5.3: it may be two headers, joined on the way."""
    with pytest.raises(InvalidRequest, match="comma"):
        read(b"Bearer a,b", sources=BEARER)


@pytest.mark.parametrize("value", [KEY, b" " + KEY + b"\t", TOKEN, b"a:b", b"x" * 512])
def test_a_key_is_read_from_a_header_of_its_own(value):
    text = value.strip(b" \t").decode()

    assert read(x_api_key=value, sources=HEADER) == RawKey(text, "x-api-key")
    assert read(api_key=value, sources=EVERYWHERE) == RawKey(text, "api-key")


@pytest.mark.parametrize("value", [b"a b", b"a,b", b"a, b", b",", b"\xff", b"a\x00", b"x" * 513, b"Bearer a"])
def test_a_header_without_exactly_one_key_is_refused(value):
    with pytest.raises(InvalidRequest, match="exactly one"):
        read(x_api_key=value, sources=HEADER)


@pytest.mark.parametrize("empty", [b"", b" ", b"\t "])
def test_an_empty_header_is_absent(empty):
    assert read(x_api_key=empty, sources=HEADER) is None
    assert read(b"Bearer " + TOKEN, x_api_key=empty, sources=HEADER) == TOKEN
    assert read(x_api_key=empty, api_key=KEY, sources=HEADER) == RawKey(KEY.decode(), "api-key")


def test_a_header_that_is_not_a_source_says_nothing():
    assert read(x_api_key=KEY) is None
    assert read(b"Bearer " + TOKEN, x_key=KEY, sources=HEADER) == TOKEN


@pytest.mark.parametrize(
    "authorization",
    [b"Bearer " + TOKEN, b"bearer  " + TOKEN, b"Bearer " + KEY, basic(KEY + b":"), basic(b"other:x")],
)
@pytest.mark.parametrize("sources", [HEADER, EVERYWHERE])
def test_two_credentials_are_refused(sources, authorization):
    with pytest.raises(InvalidRequest, match="two credentials"):
        read(authorization, x_api_key=KEY, sources=sources)


def test_two_keys_are_refused_even_if_they_are_the_same():
    with pytest.raises(InvalidRequest, match="two API keys"):
        read(x_api_key=KEY, api_key=KEY, sources=HEADER)
    with pytest.raises(InvalidRequest, match="two API keys"):
        read_credential([(b"x-api-key", KEY), (b"x-api-key", KEY)], HEADER)


def test_two_authorization_headers_beside_a_key_are_refused():
    with pytest.raises(InvalidRequest):
        read(b"Digest x", b"Digest x", x_api_key=KEY, sources=HEADER)


def test_another_scheme_beside_a_key_is_not_a_credential():
    assert read(b"Digest x", x_api_key=KEY, sources=HEADER) == RawKey(KEY.decode(), "x-api-key")
    assert read(b"", x_api_key=KEY, sources=HEADER) == RawKey(KEY.decode(), "x-api-key")


def test_no_repr_shows_a_key():
    assert repr(RawKey("key", "x-api-key")) == "RawKey(…)"


all_sources = st.builds(
    KeySources, st.booleans(), st.booleans(), st.sampled_from([(), (b"x-api-key",), (b"x-api-key", b"api-key")])
)
values = st.sampled_from([b"Bearer ", b"Basic ", b"bearer  ", b""]).flatmap(
    lambda scheme: (st.binary(max_size=24) | st.sampled_from([KEY, TOKEN, b"", b64encode(KEY + b":")])).map(
        lambda rest: scheme + rest
    )
)
header = st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"api-key", b"host"]), values)


@given(st.lists(header, max_size=4), all_sources)
def test_any_headers_are_read_or_refused_and_never_by_what_is_not_a_source(headers, sources):
    def read_all(headers):
        try:
            return read_credential(headers, sources)
        except InvalidRequest as refusal:
            return str(refusal)

    found = read_all(headers)
    relevant = [pair for pair in headers if pair[0] == b"authorization" or pair[0] in sources.headers]

    assert isinstance(found, bytes | Basic | RawKey | str | None)
    assert read_all(relevant) == found
    if isinstance(found, RawKey):
        assert sources.bearer if not found.header else found.header.encode() in sources.headers


@given(st.lists(header, min_size=1, max_size=4), all_sources)
def test_of_two_credentials_none_is_read(headers, sources):
    """Each is a credential alone, so together they are refused."""
    alone = []
    for each in headers:
        with contextlib.suppress(InvalidRequest):
            alone.append(read_credential([each], sources))
    if sum(credential is not None for credential in alone) > 1:
        with pytest.raises(InvalidRequest):
            read_credential(headers, sources)


@given(st.lists(header, max_size=4), all_sources)
def test_the_order_of_headers_makes_no_difference_to_what_is_accepted(headers, sources):
    def accepted(headers):
        try:
            return read_credential(headers, sources)
        except InvalidRequest:
            return "refused"

    assert accepted(headers) == accepted(headers[::-1])


@given(st.lists(header, max_size=4), all_sources)
def test_a_reader_made_for_some_sources_reads_as_they_say(headers, sources):
    def outcome(read):
        try:
            return read()
        except InvalidRequest as refusal:
            return str(refusal)

    read = reader(sources)
    assert outcome(lambda: read(headers)) == outcome(lambda: read_credential(headers, sources))


@given(st.lists(values, max_size=2), all_sources)
def test_the_values_alone_are_read_as_the_headers_with_them(values, sources):
    def outcome(read):
        try:
            return read()
        except InvalidRequest as refusal:
            return str(refusal)

    headers = [(b"authorization", value) for value in values]
    assert outcome(lambda: read_authorization(values, sources)) == outcome(lambda: read_credential(headers, sources))
