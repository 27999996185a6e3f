"""The demands of a resource on a credential: a token and a raw API key are judged alike."""

import pytest
from tests.core.test_api_key import START, stored_key
from tests.core.test_claims import claims

from hourpass.core.claims import Claims
from hourpass.core.errors import InsufficientScope, InvalidToken
from hourpass.core.requirement import Requirement, judge_key, judge_token, nowhere, require_raw_use

API = "https://api.example"
OTHER = "https://other.example"


def token(audience=API, environment="production", scope="a b", networks=(), address="192.0.2.1"):
    made = Claims(*claims(aud=audience, env=environment, scope=scope))
    its_key = stored_key(allowed_ips=networks) if networks else None
    return lambda needed: judge_token(made, needed, its_key, lambda: address)


def key(audience=API, environment="production", scope="a b", networks=(), address="192.0.2.1"):
    made = stored_key(audience=audience, environment=environment, scope=scope, allowed_ips=networks)
    return lambda needed: judge_key(made, OTHER, needed, lambda: address)


def refusal(judge_proven, needed) -> str | None:
    try:
        judge_proven(needed)
    except InvalidToken as error:
        return error.problem
    except InsufficientScope as error:
        return f"scope {error.scope}"
    return None


@pytest.mark.parametrize("kind", [token, key])
@pytest.mark.parametrize(
    ("credential", "needed", "word"),
    [
        ({}, Requirement(API), None),
        ({}, Requirement(API, "production", "a"), None),
        ({}, Requirement(API, "production", "a c"), "scope a c"),
        ({}, Requirement(API, "sandbox"), "environment"),
        ({"environment": "sandbox"}, Requirement(API, "sandbox"), None),
        ({"environment": "sandbox"}, Requirement(API), "environment"),
        ({"environment": ""}, Requirement(API), "environment"),
        ({"audience": OTHER}, Requirement(API), "audience"),
        ({"networks": ("192.0.2.0/24",)}, Requirement(API), None),
        ({"networks": ("192.0.2.0/24",), "address": "::ffff:192.0.2.1"}, Requirement(API), None),
        ({"networks": ("192.0.3.0/24",)}, Requirement(API, scope="c"), "address_not_allowed"),
        ({"networks": ("192.0.2.0/24",), "address": None}, Requirement(API), "address_not_allowed"),
        ({"networks": ("192.0.3.0/24",), "environment": "sandbox"}, Requirement(API), "environment"),
        ({"audience": API + "/"}, Requirement(API), "audience"),
        ({"audience": OTHER, "environment": "sandbox", "scope": ""}, Requirement(API, scope="a"), "audience"),
        ({"environment": "sandbox", "scope": ""}, Requirement(API, scope="a"), "environment"),
    ],
)
def test_a_token_and_a_key_are_refused_by_the_same_word(kind, credential, needed, word):
    assert refusal(kind(**credential), needed) == word


@pytest.mark.parametrize(("needed", "word"), [(OTHER, None), (API, "audience")])
def test_a_key_that_names_no_audience_is_for_the_servers(needed, word):
    assert refusal(key(audience=None), Requirement(needed)) == word


@pytest.mark.parametrize(("audiences", "word"), [([OTHER, API], None), ([OTHER], "audience"), ([], "audience")])
def test_a_token_may_name_several_audiences(audiences, word):
    assert refusal(token(audience=audiences), Requirement(API)) == word


@pytest.mark.parametrize("kind", [token, key])
def test_without_an_allow_list_nobody_asks_for_the_address(kind):
    assert refusal(kind(address=nowhere()), Requirement(API)) is None


def test_production_is_needed_unless_the_resource_says_otherwise():
    assert Requirement(API).environment == "production"


def test_a_raw_key_without_an_end_is_good_for_ever():
    require_raw_use(stored_key(), START)


def test_a_raw_key_is_good_until_its_end_and_refused_at_it():
    require_raw_use(stored_key(raw_until=START), START - 1)

    for now in (START, START + 1):
        with pytest.raises(InvalidToken) as refused:
            require_raw_use(stored_key(raw_until=START), now)
        assert refused.value.problem == "exchange_required"
