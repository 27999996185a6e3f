"""RFC 8414, authorisation server metadata."""

from urllib.parse import urlsplit

import pytest
from tests.server.conftest import claims_of

WELL_KNOWN = "/.well-known/oauth-authorization-server"


@pytest.mark.anyio
async def test_3_2_the_metadata_is_a_json_object_by_get(http):
    """§3.1, §3.2."""
    answer = await http.get(WELL_KNOWN)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert isinstance(answer.json(), dict)


@pytest.mark.anyio
@pytest.mark.parametrize("member", ["issuer", "token_endpoint", "jwks_uri", "response_types_supported"])
async def test_2_the_required_members_are_there(http, member):
    """§2: no authorization_endpoint, because no grant type uses one."""
    assert member in (await http.get(WELL_KNOWN)).json()


@pytest.mark.anyio
async def test_2_no_member_is_empty(http):
    """§3.2: claims with zero elements MUST be omitted."""
    assert all((await http.get(WELL_KNOWN)).json().values())


@pytest.mark.anyio
async def test_3_3_the_issuer_is_exactly_what_the_tokens_say(server, http):
    """§3.3: identical to the issuer from which the URL was made, character by character."""
    access, _ = await server.tokens()

    assert (await http.get(WELL_KNOWN)).json()["issuer"] == claims_of(access)["iss"] == server.settings.issuer


@pytest.mark.anyio
async def test_2_every_url_begins_with_the_issuer_and_has_no_query_or_fragment(http):
    """§2."""
    metadata = (await http.get(WELL_KNOWN)).json()

    for name, value in metadata.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(metadata["issuer"] + "/")
            assert urlsplit(value)[3:] == ("", "")


@pytest.mark.anyio
async def test_2_the_grant_types_are_those_that_the_token_endpoint_takes(http):
    """§2: omitted, it would mean authorization_code and implicit."""
    supported = (await http.get(WELL_KNOWN)).json()["grant_types_supported"]

    for grant_type in supported:
        answer = await http.post("/oauth/token", data={"grant_type": grant_type})
        assert answer.json()["error"] != "unsupported_grant_type"


@pytest.mark.anyio
async def test_3_1_an_issuer_with_a_path_has_its_metadata_before_the_path(start):
    """§3.1: the well-known string is inserted between the host and the path."""
    server = await start(issuer="http://hourpass.test/login", path_prefix="/login")

    answer = await server.client().get(f"http://hourpass.test{WELL_KNOWN}/login")

    assert (answer.status_code, answer.json()["issuer"]) == (200, "http://hourpass.test/login")
