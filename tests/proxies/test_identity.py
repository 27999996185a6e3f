"""The identity that the API receives is hourpass's, whatever the client wrote."""

import re

import pytest
from tests.proxies.conftest import identity

FORGED = "forged-by-the-client"

SPELLINGS = [
    "Hourpass-Subject",
    "hourpass-subject",
    "HOURPASS-SUBJECT",
    "Hourpass_Subject",
    "hourpass_subject",
    "HOURPASS.SUBJECT",
    "hourpass.subject",
    "Hourpass-Key_Id",
    "hourpass.key-id",
    "Hourpass_Scope",
    "Hourpass-Environment",
    "Hourpass-Grant",
    "hourpass_auth",
]


def test_the_api_receives_all_six_and_no_credential(proxy, reader):
    answer = proxy.client.get("/anything", headers=reader.bearer)
    received = identity(answer)

    assert received.pop("hourpass-grant")
    assert received == {
        "hourpass-subject": reader.key_id,
        "hourpass-key-id": reader.key_id,
        "hourpass-scope": "videos.read",
        "hourpass-environment": "production",
        "hourpass-auth": "bearer",
    }
    assert "authorization" not in {name.lower() for name, _ in answer.json()["headers"]}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("credential", ["token", "key"])
def test_a_forged_identity_never_arrives(credential, spelling, proxy, reader):
    """A key has no grant: there the true header is empty, and must still win over the forged one."""
    auth = (reader.api_key, "") if credential == "key" else None
    headers = [(spelling, FORGED), (spelling, FORGED), *(reader.bearer.items() if auth is None else ())]
    answer = proxy.client.get("/anything", headers=headers, auth=auth)

    assert answer.status_code == 200
    assert FORGED not in answer.text
    names = [re.sub("[-_.]", "-", name.lower()) for name, _ in answer.json()["headers"]]
    assert all(names.count(name) <= 1 for name in names if name.startswith("hourpass"))


def test_a_forged_identity_without_a_credential_gets_nowhere(proxy):
    assert proxy.client.get("/anything", headers={"Hourpass-Subject": FORGED}).status_code == 401


def test_the_api_sees_the_address_that_the_proxy_saw(proxy, reader):
    answer = proxy.client.get("/anything", headers={"X-Forwarded-For": "203.0.113.7", **reader.bearer})
    received = [value for name, value in answer.json()["headers"] if name.lower() == "x-forwarded-for"]

    assert received == ["127.0.0.1"]
