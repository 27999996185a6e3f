"""The verifier: facts are remembered, decisions never. Time, keys and revocations are judged on every call."""

import msgspec
import pytest

from hourpass.core.claims import Expected
from hourpass.core.errors import InvalidToken
from hourpass.core.policy import HOUR, LEEWAY
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import AccessClaims, SigningKeyPair
from hourpass.testing import START, Clock
from hourpass.verifier.token_verifier import TokenCache, TokenVerifier

ISSUED = START // 1_000
EXPECTED = Expected("https://auth.test", "https://api.test", HOUR)
CLAIMS = AccessClaims(
    EXPECTED.issuer, "alice", EXPECTED.audience, ISSUED + 3_600, ISSUED, "token", "key", "a", "grant", "production"
)
PAIR = SigningKeyPair.generate("k1", "ES256")
TOKEN = PAIR.mint(CLAIMS)
HITS = pytest.mark.parametrize("seen", [False, True], ids=["first-time", "remembered"])


class CountingKey:
    """A genuine key that also counts how often it was asked to verify."""

    def __init__(self, pair: SigningKeyPair) -> None:
        self.asked = 0
        self._verify = pair.verification_key.verify
        self.key = pair.verification_key._replace(verify=self._counted)

    def _counted(self, signature: bytes, data: bytes) -> None:
        self.asked += 1
        self._verify(signature, data)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counting():
    return CountingKey(PAIR)


@pytest.fixture
def revocations():
    return Revocations()


@pytest.fixture
def verifier(counting, revocations):
    return TokenVerifier(EXPECTED, {PAIR.header: counting.key}, revocations)


def refused(verifier: TokenVerifier, now: int, token: bytes = TOKEN) -> str:
    with pytest.raises(InvalidToken) as refusal:
        verifier.verify(token, now)
    return refusal.value.problem


def test_a_good_token_s_claims_are_told(verifier, clock):
    assert verifier.verify(TOKEN, clock())._asdict() == {**msgspec.structs.asdict(CLAIMS), "custom": ()}


def test_a_signature_is_verified_once_for_a_token_seen_often(verifier, clock, counting):
    first = verifier.verify(TOKEN, clock())
    clock.advance(1_800)

    assert [verifier.verify(TOKEN, clock()) for _ in range(3)] == [first] * 3
    assert counting.asked == 1


def test_two_tokens_are_two_facts(verifier, clock, counting):
    other = PAIR.mint(msgspec.structs.replace(CLAIMS, sub="bob"))

    assert [verifier.verify(token, clock()).sub for token in (TOKEN, other, TOKEN, other)] == ["alice", "bob"] * 2
    assert counting.asked == 2


def test_a_token_that_differs_in_its_last_character_is_another_token(verifier, clock):
    verifier.verify(TOKEN, clock())

    for last in b"AQgw":
        if TOKEN[-1] != last:
            assert refused(verifier, clock(), TOKEN[:-1] + bytes([last])) == "signature"


@HITS
def test_a_token_is_accepted_until_five_seconds_after_its_expiry(verifier, clock, seen):
    """contract.md, compatibility rule 8: and not one millisecond longer, remembered or not."""
    if seen:
        verifier.verify(TOKEN, clock())
    end = START + HOUR + LEEWAY

    assert verifier.verify(TOKEN, end - 1).sub == "alice"
    assert refused(verifier, end) == "expired"


def test_a_token_that_was_refused_as_expired_is_judged_again_by_an_earlier_clock(verifier, clock):
    verifier.verify(TOKEN, clock())
    assert refused(verifier, START + 2 * HOUR) == "expired"

    assert verifier.verify(TOKEN, clock()).sub == "alice"


@HITS
@pytest.mark.parametrize(
    ("kind", "value"), [("grant", "grant"), ("key", "key"), ("token", "token"), ("issued_before", str(ISSUED + 1))]
)
def test_a_revocation_applies_from_the_next_call_on(verifier, clock, revocations, seen, kind, value):
    if seen:
        verifier.verify(TOKEN, clock())
    revocations.add(Revocation(1, kind, value, START + HOUR + LEEWAY))

    assert refused(verifier, clock()) == "revoked"
    assert refused(verifier, clock()) == "revoked"


def test_a_revocation_of_something_else_leaves_a_remembered_token_alone(verifier, clock, revocations):
    verifier.verify(TOKEN, clock())
    revocations.add(Revocation(1, "token", "another", START + HOUR + LEEWAY))

    assert verifier.verify(TOKEN, clock()).sub == "alice"


@HITS
def test_a_withdrawn_key_stops_at_once(verifier, clock, seen):
    if seen:
        verifier.verify(TOKEN, clock())
    verifier.keys = {}

    assert refused(verifier, clock()) == "signature"


def test_a_key_that_comes_back_is_asked_again(verifier, clock, counting):
    verifier.verify(TOKEN, clock())
    verifier.keys = {}
    assert refused(verifier, clock()) == "signature"

    verifier.keys = {PAIR.header: counting.key._replace()}

    assert verifier.verify(TOKEN, clock()).sub == "alice"
    assert counting.asked == 2


@HITS
def test_another_key_under_the_same_id_vouches_for_nothing_that_the_old_one_made(verifier, clock, seen):
    if seen:
        verifier.verify(TOKEN, clock())
    verifier.keys = {PAIR.header: SigningKeyPair.generate("k1", "ES256").verification_key}

    assert refused(verifier, clock()) == "signature"


@HITS
def test_a_second_key_changes_nothing_for_the_first(verifier, clock, counting, seen):
    """A rotation publishes a key and keeps the old one: what was verified stays verified."""
    if seen:
        verifier.verify(TOKEN, clock())
    next_pair = SigningKeyPair.generate("k2", "Ed25519")
    verifier.keys = {**verifier.keys, next_pair.header: next_pair.verification_key}

    assert verifier.verify(TOKEN, clock()).sub == "alice"
    assert verifier.verify(next_pair.mint(CLAIMS), clock()).sub == "alice"
    assert counting.asked == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"iss": "https://other.test"}, "issuer"),
        ({"aud": "https://other.test"}, "audience"),
        ({"sub": ""}, "malformed"),
        ({"exp": ISSUED + 3_601}, "malformed"),
        ({"iat": ISSUED + 6}, "not_yet_valid"),
        ({"iat": ISSUED - 3_600, "exp": ISSUED - 5}, "expired"),
    ],
    ids=["issuer", "audience", "no-subject", "too-long", "not-yet", "expired"],
)
def test_a_refusal_is_never_remembered(verifier, clock, counting, changes, problem):
    token = PAIR.mint(msgspec.structs.replace(CLAIMS, **changes))

    assert [refused(verifier, clock(), token) for _ in range(3)] == [problem] * 3
    assert counting.asked == 3


def test_a_forged_token_is_not_remembered(counting, clock):
    cache = TokenCache()
    verifier = TokenVerifier(EXPECTED, {PAIR.header: counting.key}, Revocations(), cache=cache)
    forged = TOKEN[:-86] + SigningKeyPair.generate("k1", "ES256").mint(CLAIMS)[-86:]

    assert [refused(verifier, clock(), forged) for _ in range(3)] == ["signature"] * 3
    assert len(cache) == 0


def test_a_token_that_becomes_valid_is_accepted_after_it_was_refused(verifier, clock):
    token = PAIR.mint(msgspec.structs.replace(CLAIMS, iat=ISSUED + 6, exp=ISSUED + 3_600))
    assert refused(verifier, clock(), token) == "not_yet_valid"

    clock.advance(1)

    assert verifier.verify(token, clock()).sub == "alice"


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (EXPECTED._replace(audience="https://other.test"), "audience"),
        (EXPECTED._replace(issuer="https://other.test"), "issuer"),
        (EXPECTED._replace(max_lifetime=HOUR // 2), "malformed"),
    ],
    ids=["audience", "issuer", "lifetime"],
)
def test_verifiers_that_share_a_cache_share_no_decision(clock, expected, problem):
    """The cache's key is the token plus the verifier's identity."""
    cache, keys = TokenCache(), {PAIR.header: PAIR.verification_key}
    assert TokenVerifier(EXPECTED, keys, Revocations(), cache=cache).verify(TOKEN, clock())

    other = TokenVerifier(expected, keys, Revocations(), cache=cache)

    assert refused(other, clock()) == problem


def test_a_full_cache_only_costs_time(clock, counting):
    verifier = TokenVerifier(EXPECTED, {PAIR.header: counting.key}, Revocations(), cache=TokenCache(2))
    tokens = [PAIR.mint(msgspec.structs.replace(CLAIMS, jti=str(number))) for number in range(10)]

    for _ in range(2):
        assert [verifier.verify(token, clock()).jti for token in tokens] == [str(number) for number in range(10)]
    assert counting.asked == 20
