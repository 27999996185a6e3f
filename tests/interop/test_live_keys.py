"""A live token, verified by others from nothing but the live JWK Set and the live metadata."""

import httpx2
import joserfc.jwk
import joserfc.jwt
import jwt
import pytest


@pytest.fixture(scope="module", params=["ES256", "Ed25519", "RS256"])
def algorithm(request):
    return request.param


@pytest.fixture(scope="module")
def signing(start_demo, algorithm):
    """A demo that signs with one of the three algorithms."""
    return start_demo(signing_algorithm=algorithm)


@pytest.fixture(scope="module")
def metadata(signing) -> dict:
    return httpx2.get(f"{signing.url}/.well-known/oauth-authorization-server").json()


@pytest.fixture(scope="module")
def access_token(signing) -> str:
    return httpx2.post(f"{signing.url}/auth/api-key", json={"apiKey": signing.api_key}).json()["access_token"]


# PyJWT knows the third algorithm by its older name only, EdDSA, while the key says Ed25519 (RFC 9864 §2.2).
known_to_pyjwt = pytest.mark.parametrize("algorithm", ["ES256", "RS256"], indirect=True)


@known_to_pyjwt
def test_pyjwt_finds_the_key_and_accepts_the_token(signing, algorithm, metadata, access_token):
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(access_token)

    claims = jwt.decode(
        access_token, key, algorithms=[algorithm], issuer=metadata["issuer"], audience=metadata["issuer"]
    )

    assert claims["client_id"] == claims["sub"] == signing.key_id
    assert claims["exp"] - claims["iat"] == 3600


def test_joserfc_finds_the_key_and_accepts_the_token(signing, algorithm, metadata, access_token):
    keys = joserfc.jwk.KeySet.import_key_set(httpx2.get(metadata["jwks_uri"]).json())

    token = joserfc.jwt.decode(access_token, keys, algorithms=[algorithm])

    assert token.header == {"typ": "at+jwt", "alg": algorithm, "kid": keys.keys[0].kid}
    joserfc.jwt.JWTClaimsRegistry(iss={"value": metadata["issuer"]}, aud={"value": metadata["issuer"]}).validate(
        token.claims
    )
    assert token.claims["client_id"] == signing.key_id


@known_to_pyjwt
def test_nobody_can_take_a_refresh_token_for_an_access_token(signing, metadata):
    """Its secret is in no JWK Set."""
    pair = httpx2.post(f"{signing.url}/auth/api-key", json={"apiKey": signing.api_key}).json()

    with pytest.raises(jwt.PyJWKClientError):
        jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(pair["refresh_token"])
