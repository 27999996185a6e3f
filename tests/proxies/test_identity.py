"""The identity that the API receives is hourpass's, never the client's."""

import re

import pytest
from tests.proxies.conftest import FORGED, identity

NAMES = ["Subject", "Key-Id", "Scope", "Environment", "Grant", "Auth", "Api-Key-Sunset", "Api-Key-Deprecation"]


def spellings(name: str) -> list[str]:
    """Every way to write `Hourpass-…` that an application behind CGI names could take for it, in three cases."""
    words = ["Hourpass", *name.split("-")]
    joined = [words[0]]
    for word in words[1:]:
        joined = [f"{before}{separator}{word}" for before in joined for separator in "-_."]
    return [case(spelling) for spelling in joined for case in (str, str.lower, str.upper)]


def test_the_api_receives_all_eight_and_no_credential(proxy, reader):
    answer = proxy.client.get("/anything", headers=reader.bearer)
    received = identity(answer)

    assert received.pop("hourpass-grant")
    # A proxy may leave out what is empty.
    assert [received.pop(f"hourpass-api-key-{name}", "") for name in ("sunset", "deprecation")] == ["", ""]
    assert received == {
        "hourpass-subject": reader.key_id,
        "hourpass-key-id": reader.key_id,
        "hourpass-scope": "videos.read",
        "hourpass-environment": "production",
        "hourpass-auth": "bearer",
    }
    assert "authorization" not in {name.lower() for name, _ in answer.json()["headers"]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("credential", ["token", "key"])
def test_a_forged_identity_never_arrives_in_any_spelling(credential, name, proxy, reader):
    """A key has no grant: there the true header is empty, and must still win over the forged one."""
    auth = (reader.api_key, "") if credential == "key" else None
    for spelling in spellings(name):
        headers = [(spelling, FORGED), (spelling, FORGED), *(reader.bearer.items() if auth is None else ())]
        answer = proxy.client.get("/anything", headers=headers, auth=auth)

        assert answer.status_code == 200, spelling
        assert FORGED not in answer.text, spelling
        names = [re.sub("[-_.]", "-", name.lower()) for name, _ in answer.json()["headers"]]
        assert all(names.count(name) <= 1 for name in names if name.startswith("hourpass")), spelling


@pytest.mark.parametrize(
    "name",
    ["Hourpass-Admin", "Hourpass--Subject", "Hourpass", "HOURPASS-X-Y", "hourpassword", "hourpass_admin", "Hourpass.A"],
)
def test_nothing_of_the_family_arrives_that_hourpass_does_not_say(name, proxy, reader):
    """A name of ours that does not exist yet must not be a client's to set when it does."""
    answer = proxy.client.get("/anything", headers={name: FORGED, "Hour-Pass": "passes", **reader.bearer})

    assert answer.status_code == 200
    assert FORGED not in answer.text
    assert "passes" in answer.text


@pytest.mark.parametrize("odd", "!#$%&'*+.^_`|~")
def test_a_name_with_more_than_letters_digits_and_hyphens_never_arrives(odd, proxy, reader):
    """An application behind CGI names reads `X_Tenant` as `X-Tenant`, and some servers read every odd letter so."""
    names = [f"x{odd}tenant", f"X-My{odd}Tenant", f"{odd}tenant", f"tenant{odd}"]
    answer = proxy.client.get("/me", headers={**dict.fromkeys(names, FORGED), "X-Plain": "passes", **reader.bearer})

    assert answer.status_code == 200
    assert FORGED not in answer.text
    assert "passes" in answer.text


@pytest.mark.parametrize(
    "connection",
    [["Hourpass-Subject"], ["close, hourpass-scope"], ["keep-alive", "Hourpass-Key-Id, HOURPASS-SCOPE"]],
    ids=["alone", "in a list", "in a second line"],
)
def test_a_client_cannot_have_the_identity_taken_away(connection, proxy, reader):
    """RFC 9110 §7.6.1: what Connection names is dropped, which must happen before the identity is written."""
    headers = [*(("Connection", value) for value in connection), *reader.bearer.items()]
    answer = proxy.client.get("/anything", headers=headers)

    assert answer.status_code == 200
    received = identity(answer)
    assert [received[f"hourpass-{name}"] for name in ("subject", "key-id", "scope")] == [
        reader.key_id,
        reader.key_id,
        "videos.read",
    ]


def test_a_forged_identity_without_a_credential_gets_nowhere(proxy):
    assert proxy.client.get("/anything", headers={"Hourpass-Subject": FORGED}).status_code == 401


def test_the_api_sees_the_address_that_the_proxy_saw(proxy, reader):
    answer = proxy.client.get("/anything", headers={"X-Forwarded-For": "203.0.113.7", **reader.bearer})
    received = [value for name, value in answer.json()["headers"] if name.lower() == "x-forwarded-for"]

    assert received == ["127.0.0.1"]
