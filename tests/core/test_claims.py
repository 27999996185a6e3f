"""Claims: what makes unverified ones verified, the first rule that fails, and the scope they reach."""

import pytest

from hourpass.core.claims import Claims, Expected, UnverifiedClaims, accepted_until, require_scope, validate_claims
from hourpass.core.errors import InsufficientScope, InvalidToken
from hourpass.core.policy import HOUR, LEEWAY

ISSUED = 1_800_000_000
NOW = ISSUED * 1_000
EXPECTED = Expected("https://auth.example", "https://api.example", HOUR)


def claims(**changes) -> UnverifiedClaims:
    unverified = UnverifiedClaims(
        iss=EXPECTED.issuer,
        sub="alice",
        aud=EXPECTED.audience,
        exp=ISSUED + 3_600,
        iat=ISSUED,
        jti="token",
        client_id="key",
        scope="",
        sid="grant",
        env="production",
    )
    return unverified._replace(**changes)


def problem(now=NOW, **changes) -> str | None:
    """The fixed word of the refusal, or None."""
    try:
        validate_claims(claims(**changes), now, EXPECTED)
    except InvalidToken as error:
        return error.problem
    return None


def test_validated_claims_say_what_the_token_said():
    validated = validate_claims(claims(), NOW, EXPECTED)

    assert isinstance(validated, Claims)
    assert validated == claims()


@pytest.mark.parametrize("issuer", ["", "https://auth.example/", "HTTPS://AUTH.EXAMPLE", "https://auth.example.evil"])
def test_the_issuer_is_compared_to_the_last_character(issuer):
    """RFC 9068 §4: the issuer must exactly match."""
    assert problem(iss=issuer) == "issuer"


@pytest.mark.parametrize("audience", ["https://api.example", ["https://api.example"], ["x", "https://api.example"]])
def test_the_audience_may_stand_alone_or_among_others(audience):
    assert problem(aud=audience) is None


@pytest.mark.parametrize("audience", ["", [], "https://api", "https://api.example.evil", ["https://api"], ["", "x"]])
def test_another_audience_is_refused_and_a_part_of_ours_is_another(audience):
    assert problem(aud=audience) == "audience"


@pytest.mark.parametrize(
    ("expected", "environment", "refusal"),
    [
        ("production", "production", None),
        ("production", "sandbox", "environment"),
        ("production", "", "environment"),
        ("production", "Production", "environment"),
        ("sandbox", "production", "environment"),
        ("sandbox", "sandbox", None),
        (None, "sandbox", None),
    ],
)
def test_a_token_of_another_environment_is_refused_if_one_is_expected(expected, environment, refusal):
    def judged() -> str | None:
        try:
            validate_claims(claims(env=environment), NOW, EXPECTED._replace(environment=expected))
        except InvalidToken as error:
            return error.problem
        return None

    assert judged() == refusal


@pytest.mark.parametrize("member", ["sub", "jti", "client_id", "sid"])
def test_a_required_claim_is_never_empty(member):
    """RFC 9068 §2.2."""
    assert problem(**{member: ""}) == "malformed"


@pytest.mark.parametrize(
    ("lifetime", "refusal"), [(-1, "malformed"), (0, "malformed"), (1, None), (3_600, None), (3_601, "malformed")]
)
def test_a_lifetime_is_at_least_a_second_and_at_most_what_is_configured(lifetime, refusal):
    assert problem(exp=ISSUED + lifetime) == refusal


def test_a_number_of_any_size_is_judged():
    assert problem(exp=2**200) == "malformed"
    assert problem(exp=2**200 + 1, iat=2**200) == "not_yet_valid"
    assert problem(exp=1 - 2**200, iat=-(2**200)) == "expired"


@pytest.mark.parametrize(("early", "refusal"), [(LEEWAY, None), (LEEWAY + 1, "not_yet_valid")])
def test_a_token_may_be_issued_by_a_clock_that_is_five_seconds_ahead(early, refusal):
    assert problem(now=NOW - early) == refusal


@pytest.mark.parametrize(("late", "refusal"), [(-1, None), (0, None), (LEEWAY - 1, None), (LEEWAY, "expired")])
def test_a_token_is_accepted_for_five_seconds_after_its_expiry(late, refusal):
    """RFC 7519 §4.1.4 and contract.md, compatibility rule 8."""
    assert problem(now=NOW + HOUR + late) == refusal


@pytest.mark.parametrize(
    ("now", "refusal"),
    [
        (NOW - 30_000, None),
        (NOW - 30_001, "not_yet_valid"),
        (NOW + HOUR + 1_999, None),
        (NOW + HOUR + 2_000, "expired"),
    ],
)
def test_how_early_and_how_late_a_token_is_accepted_is_the_resource_server_s_to_say(now, refusal):
    try:
        validate_claims(claims(), now, EXPECTED._replace(early=30_000, late=2_000))
        said = None
    except InvalidToken as error:
        said = error.problem

    assert said == refusal


def test_the_first_instant_of_refusal_is_told():
    assert accepted_until(claims()) == NOW + HOUR + LEEWAY


FAILURES = [
    ("issuer", {"iss": "x"}),
    ("audience", {"aud": "x"}),
    ("malformed", {"sub": ""}),
    ("expired", {"iat": ISSUED - 7_200, "exp": ISSUED - 3_600}),
]


@pytest.mark.parametrize("first", range(len(FAILURES)), ids=[word for word, _ in FAILURES])
def test_the_word_is_the_first_rule_s_that_fails(first):
    word, _ = FAILURES[first]
    all_from_it_on = {name: value for _, changes in FAILURES[first:] for name, value in changes.items()}

    assert problem(**all_from_it_on) == word


@pytest.mark.parametrize(
    ("granted", "needed"),
    [("", ""), ("a", ""), ("a", "a"), ("a b", "b a"), ("a b c", "c a"), ("a", "a a"), ("a b", " b ")],
)
def test_a_token_may_have_more_scopes_than_are_needed(granted, needed):
    require_scope(granted, needed)


@pytest.mark.parametrize(
    ("granted", "needed"),
    [("", "a"), ("a", "a b"), ("videos", "videos.read"), ("videos.read", "videos"), ("A", "a"), ("a,b", "a")],
)
def test_every_needed_scope_must_be_granted_and_all_are_named(granted, needed):
    """RFC 6750 §3.1: `scope` names what is necessary to access the resource."""
    with pytest.raises(InsufficientScope) as refusal:
        require_scope(granted, needed)

    assert refusal.value.scope == needed


def test_verified_claims_tell_what_the_key_says_besides_by_name():
    claims = Claims("i", "s", "a", 2, 1, "j", "k", "", "g", "production", (("tenant", "acme"), ("none", None)))

    assert (claims.get("tenant"), claims.get("none", "x"), claims.get("seats"), claims.get("seats", 0)) == (
        "acme",
        None,
        None,
        0,
    )
