"""RFC 6749 §2.3, client authentication: key id and key are client id and secret (contract.md, "OAuth 2 endpoints")."""

import pytest
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_api_keys import basic

GRANT = {"grant_type": "client_credentials"}


async def token(http, *, authorization=None, **form):
    headers = {} if authorization is None else {"authorization": authorization}
    return await http.post("/oauth/token", data={**GRANT, **form}, headers=headers)


def percent_encoded(text):
    return "".join(f"%{ord(letter):02X}" for letter in text)


WAYS = {
    "id and key by Basic": lambda i, k: {"authorization": basic(f"{i}:{k}")},
    "the key as user by Basic": lambda i, k: {"authorization": basic(f"{k}:")},
    "the key as password by Basic": lambda i, k: {"authorization": basic(f":{k}")},
    "the key as both by Basic": lambda i, k: {"authorization": basic(f"{k}:{k}")},
    "basic in lower case": lambda i, k: {"authorization": basic(f"{i}:{k}", "basic")},
    "id and key in the body": lambda i, k: {"client_id": i, "client_secret": k},
    "the key as client_id": lambda i, k: {"client_id": k},
    "the key as client_secret": lambda i, k: {"client_secret": k},
    "Basic, and the same id in the body": lambda i, k: {"authorization": basic(f"{i}:{k}"), "client_id": i},
    "percent-encoded id": lambda i, k: {"authorization": basic(f"{percent_encoded(i)}:{k}")},
    "percent-encoded key": lambda i, k: {"authorization": basic(f"{i}:{percent_encoded(k)}")},
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_2_3_1_a_client_authenticates_by_basic_or_body(server, http, way):
    """§2.3.1. Basic credentials are form-urlencoded before they are base64-encoded."""
    key = await server.create_key()

    assert (await token(http, **way(key_id_of(key), key))).status_code == 200


@pytest.mark.anyio
async def test_2_3_1_the_keys_own_id_in_the_body_contradicts_nothing(server, http):
    """contract.md, "OAuth 2 endpoints": a client_id that contradicts the key is refused."""
    key = await server.create_key()

    assert (await token(http, authorization=basic(f"{key}:"), client_id=key_id_of(key))).status_code == 200


WRONG = {
    "nothing": lambda i, k: {},
    "an id alone": lambda i, k: {"client_id": i},
    "a wrong secret by Basic": lambda i, k: {"authorization": basic(f"{i}:{other_secret(k)}")},
    "a wrong secret in the body": lambda i, k: {"client_id": i, "client_secret": other_secret(k)},
    "nobody's key": lambda i, k: {"client_id": nobodys_key()},
    "another id than the key's, by Basic": lambda i, k: {"authorization": basic(f"{i[::-1]}x:{k}")},
    "another id than the key's, in the body": lambda i, k: {"client_id": "x", "client_secret": k},
    "an id in the body that contradicts Basic": lambda i, k: {"authorization": basic(f"{i}:{k}"), "client_id": "x"},
    "another case": lambda i, k: {"client_id": i.swapcase() + "1", "client_secret": k},
    "Basic that is not base64": lambda i, k: {"authorization": "Basic !"},
    "Basic without a colon": lambda i, k: {"authorization": basic(k)},
    "Bearer with the key": lambda i, k: {"authorization": f"Bearer {k}"},
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", WRONG.values(), ids=WRONG.keys())
async def test_5_2_a_client_that_failed_is_401_with_a_basic_challenge(server, http, way):
    """§5.2: invalid_client, and the scheme that the client used, or could have."""
    key = await server.create_key()

    answer = await token(http, **way(key_id_of(key), key))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="hourpass"'
    assert answer.headers["cache-control"] == "no-store"
    assert "reason" not in answer.json()


@pytest.mark.anyio
async def test_2_3_two_methods_in_one_request_are_refused(server, http):
    """§2.3: the client MUST NOT use more than one authentication method."""
    key = await server.create_key()

    answer = await token(http, authorization=basic(f"{key_id_of(key)}:{key}"), client_secret=key)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["authenticated", "mentioned"])
async def test_6_a_refresh_token_is_refused_to_another_client_and_not_burnt(server, http, way):
    """§6, §10.4: the binding between refresh token and client. Forged traffic burns nothing."""
    key, other = await server.create_key(), await server.create_key()
    refresh = {"grant_type": "refresh_token", "refresh_token": (await server.exchange(key)).refresh_token.decode()}
    client = {"client_id": key_id_of(other)} | ({"client_secret": other} if way == "authenticated" else {})

    refused = await token(http, **refresh, **client)
    good = await token(http, **refresh, client_id=key_id_of(key))

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert good.status_code == 200


@pytest.mark.anyio
async def test_6_a_client_that_authenticates_wrongly_gets_no_refresh(server, http):
    """§6: client authentication must be good if it is given."""
    key = await server.create_key()
    refresh = {"grant_type": "refresh_token", "refresh_token": (await server.exchange(key)).refresh_token.decode()}

    refused = await token(http, **refresh, client_id=key_id_of(key), client_secret=other_secret(key))

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.anyio
@pytest.mark.parametrize("second", ["the same", "Bearer x", ""])
async def test_2_3_1_two_authorization_headers_are_refused(server, http, second):
    """§5.2: 401, because the client tried to authenticate by the header."""
    good = basic(f"{await server.create_key()}:")
    headers = [("authorization", good), ("authorization", good if second == "the same" else second)]

    answer = await http.post("/oauth/token", headers=headers, data={"grant_type": "client_credentials"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
