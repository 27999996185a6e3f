"""RFC 7517, JSON Web Key, read by libraries that are not ours."""

import jwt
import pytest
from joserfc.jwk import KeySet

ALGORITHMS = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "Ed25519": {"kty": "OKP", "crv": "Ed25519"},
    "RS256": {"kty": "RSA", "e": "AQAB"},
}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def keys(server):
    return (await server.client().get("/.well-known/jwks.json")).json()["keys"]


@pytest.mark.anyio
async def test_5_a_set_is_an_object_with_an_array_of_keys(http):
    """§5."""
    answer = await http.get("/.well-known/jwks.json")

    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["keys"]
    assert isinstance(answer.json()["keys"], list)


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_4_a_key_says_its_kind_use_algorithm_and_id(start, algorithm):
    """§4.1, §4.2, §4.4, §4.5. RFC 9864 for Ed25519."""
    (key,) = await keys(await start(signing_algorithm=algorithm))

    wanted = {**ALGORITHMS[algorithm], "use": "sig", "alg": algorithm}
    assert {name: key[name] for name in wanted} == wanted
    assert key["kid"]


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_9_2_no_private_member_is_ever_shown(start, algorithm):
    """§9.2. It has no symmetric key: nobody may take the refresh secret for one of these."""
    (key,) = await keys(await start(signing_algorithm=algorithm))

    assert not PRIVATE_MEMBERS & key.keys()
    assert key["kty"] != "oct"


@pytest.mark.anyio
async def test_6_2_1_coordinates_have_the_full_length_of_the_curve(server):
    """RFC 7518 §6.2.1.2: 32 octets, leading zeros included, so 43 characters without padding."""
    (key,) = await keys(server)

    assert {len(key["x"]), len(key["y"])} == {43}


@pytest.mark.anyio
async def test_4_5_key_ids_differ(start, tmp_path):
    """§4.5: within a set, distinct."""
    database = {"data": str(tmp_path), "database_url": f"sqlite:{tmp_path}/x.db"}
    await (await start(**database)).app.stop()

    shown = await keys(await start(**database, signing_algorithm="RS256"))

    assert {key["alg"] for key in shown} == {"ES256", "RS256"}
    assert len({key["kid"] for key in shown}) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_joserfc_reads_the_set(start, algorithm):
    shown = await keys(await start(signing_algorithm=algorithm))

    assert len(KeySet.import_key_set({"keys": shown}).keys) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_pyjwt_reads_the_set(start, algorithm):
    """PyJWT knows Ed25519 by its older name alone (RFC 9864 deprecates `EdDSA`)."""
    shown = await keys(await start(signing_algorithm=algorithm))

    assert len(jwt.PyJWKSet(shown).keys) == 1
