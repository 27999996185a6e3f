"""RFC 9068, the JWT profile for access tokens, judged by PyJWT and joserfc, not by our own code."""

import base64
import json
import re

import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from tests.server.conftest import claims_of, key_id_of

from hourpass.testing import START

ALGORITHMS = ["ES256", "Ed25519", "RS256"]
WITHOUT_THE_CLOCK = {"verify_exp": False, "verify_iat": False}


def decoded(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


async def key_set(server):
    return (await server.client().get("/.well-known/jwks.json")).json()


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_2_1_the_header_has_three_members_in_the_contracts_order(start, algorithm):
    """§2.1: typ is at+jwt, the algorithm is asymmetric. contract.md, "Access token", fixes the order."""
    server = await start(signing_algorithm=algorithm)
    access, _ = await server.tokens()
    (key,) = (await key_set(server))["keys"]

    header = decoded(access.split(".")[0]).decode()

    assert header == f'{{"typ":"at+jwt","alg":"{algorithm}","kid":"{key["kid"]}"}}'
    assert access.startswith("eyJ0eXAiO")


@pytest.mark.anyio
async def test_2_2_the_claims_are_the_profiles_and_two_of_ours(server):
    """§2.2, §2.2.3."""
    key = await server.create_key(scope="b a", subject="account-7")
    claims = claims_of((await server.exchange(key)).access_token)

    second = START // 1000
    assert list(claims) == ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "sid", "env"]
    assert {name: claims[name] for name in claims if name not in ("jti", "sid")} == {
        "iss": "http://hourpass.test",
        "sub": "account-7",
        "aud": "http://hourpass.test",
        "exp": second + 3600,
        "iat": second,
        "client_id": key_id_of(key),
        "scope": "a b",
        "env": "production",
    }
    assert re.fullmatch(r"[0-9a-f]{32}", claims["sid"])


@pytest.mark.anyio
async def test_2_2_without_a_subject_the_key_speaks_for_itself(server):
    """§2.2, sub: for client credentials, an identifier of the client."""
    key = await server.create_key()

    assert claims_of((await server.exchange(key)).access_token)["sub"] == key_id_of(key)


@pytest.mark.anyio
async def test_2_2_3_an_empty_scope_is_present(server):
    """contract.md, "Access token": always there, even if it is empty."""
    access, _ = await server.tokens(scope="")

    assert claims_of(access)["scope"] == ""


@pytest.mark.anyio
async def test_2_2_every_token_has_an_id_of_its_own(server):
    """§2.2, jti. RFC 7519 §4.1.7."""
    key = await server.create_key()

    assert len({claims_of((await server.exchange(key)).access_token)["jti"] for _ in range(50)}) == 50


@pytest.mark.anyio
async def test_2_2_the_operators_audience_is_said(start):
    """§2.2, §3: the configured audience, by default the issuer."""
    access, _ = await (await start(audience="https://api.test")).tokens()

    assert claims_of(access)["aud"] == "https://api.test"


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_4_pyjwt_verifies_it_from_the_key_set(start, algorithm):
    """§4: issuer, audience, typ and signature."""
    server = await start(signing_algorithm=algorithm)
    access, _ = await server.tokens(subject="account-7")
    key = jwt.PyJWKSet.from_dict(await key_set(server))[jwt.get_unverified_header(access)["kid"]]

    claims = jwt.decode(
        access,
        key,
        algorithms=[algorithm],
        audience="http://hourpass.test",
        issuer="http://hourpass.test",
        options={**WITHOUT_THE_CLOCK, "require": ["exp", "iat", "jti", "sub", "client_id"]},
    )

    assert claims["sub"] == "account-7"


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_4_joserfc_verifies_it_from_the_key_set(start, algorithm):
    """§4."""
    server = await start(signing_algorithm=algorithm)
    access, _ = await server.tokens(subject="account-7")

    token = joserfc_jwt.decode(access, KeySet.import_key_set(await key_set(server)), algorithms=[algorithm])

    assert (token.header["typ"], token.claims["sub"]) == ("at+jwt", "account-7")


def respelled(access, **header):
    head, payload, signature = access.split(".")
    changed = {**json.loads(decoded(head)), **header}
    text = json.dumps(changed, separators=(",", ":")).encode()
    return ".".join((base64.urlsafe_b64encode(text).rstrip(b"=").decode(), payload, signature))


OTHER_HEADERS = [
    {"alg": "none"},
    {"alg": "HS256"},
    {"typ": "JWT"},
    {"typ": "rt+jwt"},
    {"kid": "x"},
    {"jku": "http://x.test"},
    {"crit": []},
]


@pytest.mark.anyio
@pytest.mark.parametrize("header", OTHER_HEADERS, ids=str)
async def test_4_any_other_header_is_refused(server, http, header):
    """§4: typ at+jwt alone, alg none never. RFC 8725 §3.1: a token does not choose its algorithm or key."""
    access, _ = await server.tokens()

    answer = await http.get("/auth/verify", headers={"authorization": f"Bearer {respelled(access, **header)}"})

    assert (answer.status_code, "signature" in answer.headers["www-authenticate"]) == (401, True)


@pytest.mark.anyio
async def test_4_an_unsigned_token_is_refused(server, http):
    """§4, RFC 8725 §3.2."""
    access, _ = await server.tokens()
    unsigned = respelled(access, alg="none").rpartition(".")[0] + "."

    answer = await http.get("/auth/verify", headers={"authorization": f"Bearer {unsigned}"})

    assert answer.status_code == 401


@pytest.mark.anyio
async def test_4_no_character_can_be_changed(server, http):
    """Neither the claims nor the spelling: two spellings of one token would defeat every look-up."""
    access, _ = await server.tokens()
    for position in range(0, len(access), 7):
        changed = access[:position] + ("A" if access[position] != "A" else "B") + access[position + 1 :]

        answer = await http.get("/auth/verify", headers={"authorization": f"Bearer {changed}"})

        assert answer.status_code == 401, position
