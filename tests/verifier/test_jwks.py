"""The JWK Set's state machine: what an answer is worth, and when to ask again."""

import json

import pytest

from hourpass.core.policy import DAY, HOUR, MINUTE, SECOND
from hourpass.jose import SigningKeyPair, encode_segment
from hourpass.verifier.jwks import JwkSet
from hourpass.verifier.upkeep import Answer

FIRST, SECOND_KEY, THIRD = (
    SigningKeyPair.generate("k1", "ES256"),
    SigningKeyPair.generate("k2", "Ed25519"),
    SigningKeyPair.generate("k3", "RS256"),
)
NOW = 1_000_000


def document(*jwks: object) -> bytes:
    return json.dumps({"keys": list(jwks)}).encode()


def answer(*pairs: SigningKeyPair, age: int | None = 300, **headers: str) -> Answer:
    control = {} if age is None else {"cache-control": f"public, max-age={age}"}
    return Answer(200, {**control, **headers}, document(*(pair.verification_key.jwk for pair in pairs)))


def fetch(jwks: JwkSet, now: int, given: Answer) -> JwkSet:
    jwks.begin(now)
    jwks.finish(given, now, 0)
    return jwks


@pytest.fixture
def jwks():
    return JwkSet("https://auth.test/.well-known/jwks.json", lambda: 0.0)


@pytest.fixture
def fresh(jwks):
    return fetch(jwks, NOW, answer(FIRST))


def test_before_the_first_answer_it_is_empty_and_due(jwks):
    assert (jwks.state(NOW), jwks.due_at <= NOW, jwks.keys) == ("empty", True, {})


def test_all_three_kinds_of_keys_are_read(jwks):
    fetch(jwks, NOW, answer(FIRST, SECOND_KEY, THIRD))

    assert set(jwks.keys) == {FIRST.header, SECOND_KEY.header, THIRD.header}


@pytest.mark.parametrize(
    ("after", "state"),
    [
        (300 * SECOND - 1, "fresh"),
        (300 * SECOND, "stale"),
        (DAY - 1, "stale"),
        (DAY, "refused"),
    ],
    ids=["fresh", "stale", "stale to the end", "refused"],
)
def test_the_states_follow_from_time(fresh, after, state):
    assert fresh.state(NOW + after) == state


def test_it_is_refreshed_ahead_at_four_fifths_of_its_age(fresh):
    assert fresh.due_at == NOW + 240 * SECOND


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("max-age=300", 300),
        ("public, max-age=120, must-revalidate", 120),
        ("Max-Age=120", 120),
        ("max-age=0", 60),
        ("max-age=59", 60),
        ("max-age=3601", 3600),
        ("max-age=999999999", 3600),
        ("s-maxage=120", 300),
        ("max-age=-1", 300),
        ("max-age=1e3", 300),
        ("", 300),
        ("no-store", 60),
        ("no-cache, max-age=600", 60),
    ],
)
def test_max_age_is_kept_between_a_minute_and_an_hour(jwks, control, seconds):
    fetch(jwks, NOW, answer(FIRST, age=None, **{"cache-control": control}))

    assert jwks.state(NOW + seconds * SECOND - 1) == "fresh"
    assert jwks.state(NOW + seconds * SECOND) == "stale"


KEY = FIRST.verification_key.jwk
BAD = {
    "no answer": Answer(0, {}, b"", "ConnectError"),
    "a server error": Answer(503, {}, document(KEY)),
    "a redirect": Answer(302, {"location": "https://evil.test"}, document(KEY)),
    "not modified, unasked": Answer(304, {}, b""),
    "empty": Answer(200, {}, b""),
    "not JSON": Answer(200, {}, b"<html>"),
    "not UTF-8": Answer(200, {}, b'{"keys":"\xff"}'),
    "an array": Answer(200, {}, json.dumps([KEY]).encode()),
    "no keys": Answer(200, {}, b"{}"),
    "keys that are not a list": Answer(200, {}, json.dumps({"keys": {"k1": KEY}}).encode()),
    "an empty list": Answer(200, {}, document()),
    "no usable key": Answer(200, {}, document({"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "k1"})),
    "65 keys": Answer(200, {}, document(*({**KEY, "kid": f"k{number}"} for number in range(65)))),
    "a key id twice": Answer(200, {}, document(KEY, {**SECOND_KEY.verification_key.jwk, "kid": "k1"})),
    "a member twice": Answer(200, {}, document(KEY).replace(b'"kid"', b'"kid": "k0", "kid"')),
    "too deep": Answer(200, {}, b'{"keys":' + b"[" * 100_000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_answer_never_replaces_a_good_set(fresh, bad):
    keys = fresh.keys

    fetch(fresh, NOW + 250 * SECOND, bad)

    assert fresh.keys is keys
    assert (fresh.failures, bool(fresh.problem)) == (1, True)
    assert fresh.state(NOW + 300 * SECOND) == "stale"


RSA = THIRD.verification_key.jwk
POINT = {"x": encode_segment(bytes(32)).decode(), "y": encode_segment(bytes(32)).decode()}
STRANGE = {
    "another kind": {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "x"},
    "another curve": {**KEY, "crv": "P-384", "kid": "x"},
    "another algorithm": {**KEY, "alg": "ES384", "kid": "x"},
    "no algorithm": {name: value for name, value in {**KEY, "kid": "x"}.items() if name != "alg"},
    "for encryption": {**KEY, "use": "enc", "kid": "x"},
    "a private key": {**KEY, "d": "AAAA", "kid": "x"},
    "no key id": {name: value for name, value in KEY.items() if name != "kid"},
    "an empty key id": {**KEY, "kid": ""},
    "a long key id": {**KEY, "kid": "x" * 65},
    "a key id that is not a text": {**KEY, "kid": 1},
    "a key id that would forge a header": {**KEY, "kid": 'x","b64":false,"a":"'},
    "a point off the curve": {**KEY, **POINT, "kid": "x"},
    "a coordinate that is not base64url": {**KEY, "x": "=", "kid": "x"},
    "a padded coordinate": {**KEY, "x": KEY["x"] + "=", "kid": "x"},
    "a short modulus": {**RSA, "n": encode_segment(b"\xff" * 128).decode(), "kid": "x"},
    "a giant modulus": {**RSA, "n": encode_segment(b"\xff" * 4096).decode(), "kid": "x"},
    "an even exponent": {**RSA, "e": encode_segment(b"\x02").decode(), "kid": "x"},
    "text": "k1",
    "null": None,
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
def test_a_key_that_we_cannot_use_is_passed_over(jwks, strange):
    """RFC 7517 §5: implementations SHOULD ignore JWKs that they do not understand."""
    fetch(jwks, NOW, Answer(200, {}, document(strange, KEY)))

    assert set(jwks.keys) == {FIRST.header}


def test_members_that_are_not_text_do_no_harm(jwks):
    fetch(jwks, NOW, Answer(200, {}, document({**KEY, "x5c": ["AAAA"], "key_ops": ["verify"], "n": 1})))

    assert set(jwks.keys) == {FIRST.header}


def test_a_withdrawn_key_is_gone_with_the_next_answer(fresh):
    fetch(fresh, NOW + MINUTE, answer(SECOND_KEY))

    assert set(fresh.keys) == {SECOND_KEY.header}


def test_a_key_that_stays_is_the_same_object_so_what_it_verified_stays_verified(fresh):
    before = fresh.keys[FIRST.header]

    fetch(fresh, NOW + MINUTE, answer(FIRST, SECOND_KEY))

    assert fresh.keys[FIRST.header] is before


def test_another_key_under_the_same_id_is_another_object(fresh):
    before = fresh.keys[FIRST.header]

    fetch(fresh, NOW + MINUTE, answer(SigningKeyPair.generate("k1", "ES256")))

    assert fresh.keys[FIRST.header] is not before


def test_not_modified_renews_the_known_keys(jwks):
    """RFC 9110 §15.4.5."""
    fetch(jwks, NOW, answer(FIRST, etag='"1"'))
    keys = jwks.keys

    request = jwks.begin(NOW + 240 * SECOND)
    jwks.finish(Answer(304, {"cache-control": "max-age=300"}, b""), NOW + 240 * SECOND, 0)

    assert request.headers["if-none-match"] == '"1"'
    assert jwks.keys is keys
    assert jwks.state(NOW + 540 * SECOND - 1) == "fresh"


@pytest.mark.parametrize("etag", ['"\xe9"', "x" * 257, "a\x00b"], ids=["beyond ASCII", "long", "a control character"])
def test_a_tag_that_could_not_be_sent_back_is_not(jwks, etag):
    fetch(jwks, NOW, answer(FIRST, etag=etag))

    assert "if-none-match" not in jwks.begin(NOW).headers


def test_failures_are_retried_from_a_second_to_a_minute_apart(fresh):
    now, pauses = NOW + 240 * SECOND, []
    for _ in range(9):
        fetch(fresh, now, BAD["no answer"])
        pauses.append((fresh.due_at - now) // SECOND)
        now = fresh.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_ends_the_backoff(fresh):
    for _ in range(5):
        fetch(fresh, NOW + HOUR, BAD["no answer"])

    fetch(fresh, NOW + HOUR, answer(FIRST))

    assert (fresh.failures, fresh.problem, fresh.due_at) == (0, "", NOW + HOUR + 240 * SECOND)
