"""The optional lines of each file: a claim in a header of the provider's own, and API keys in another header."""

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, ServerProcess
from tests.proxies.conftest import FORGED, ISSUER, Key
from tests.proxies.proxies import ALL, Proxy

SPELLINGS = ["X-Tenant", "x-tenant", "X-TENANT", "X_Tenant", "x_tenant", "X.Tenant", "x.TENANT", "X~Tenant", "X+TENANT"]


@pytest.fixture(scope="module")
def claiming(tmp_path_factory):
    """A hourpass that puts two claims into headers, and takes API keys in another header than the files name."""
    folder = tmp_path_factory.mktemp("claiming")
    flags = {
        "issuer": ISSUER,
        "exchange-limit": 0,
        "api-key-sources": "basic header:Acme-Key",
        "claim-headers": "tenant=X-Tenant seats=Hourpass-Claim-Seats",
    }
    server = ServerProcess(folder / "data", folder / "log", flags, {}).start()
    yield server
    assert server.stop() == 0
    assert not LOOKS_SECRET.search(server.log.read_bytes()), "a key or a token stands in the log"


def with_claims(name: str, renamed: dict[str, str]) -> type[Proxy]:
    """The proxy, with its optional lines for claims switched on, and with other names of headers."""
    return type("WithClaims", (ALL[name],), {"optional": ("#claim ", "--claim "), "renamed": renamed})


@pytest.fixture(scope="module", params=ALL)
def own(request, start, claiming):
    """Each of the five, with its optional lines for claims switched on, and with the other header for keys."""
    running = start(with_claims(request.param, {"X-API-Key": "Acme-Key"}), claiming.port)
    yield running
    running.stop()
    log = (running.folder / "log").read_bytes()
    assert not LOOKS_SECRET.search(log), f"a key or a token stands in {running.name}'s log"


def make_key(server: ServerProcess, *flags: str) -> Key:
    made = server.create_key("--scope", "videos.read", *flags)
    answer = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": made["api_key"]}, trust_env=False)
    pair = answer.raise_for_status().json()
    return Key(made["api_key"], made["key_id"], pair["access_token"], pair["refresh_token"])


@pytest.fixture(scope="module")
def acme(claiming):
    """A key with both claims."""
    return make_key(claiming, "--claim", "tenant=acme", "--claim", "seats=7")


@pytest.fixture(scope="module")
def nobody(claiming):
    """A key with neither."""
    return make_key(claiming)


def tenants(answer: httpx2.Response) -> list[str]:
    """What the API received in X-Tenant, in any spelling. An empty header may be left out by the proxy."""
    assert answer.status_code == 200, answer.text
    received = ((name.lower(), value) for name, value in answer.json()["headers"])
    return [value for name, value in received if name.startswith("x") and name.endswith("tenant") and value]


@pytest.mark.parametrize("path", ["/me", "/videos/1", "/anything"])
@pytest.mark.parametrize("credential", ["token", "key"])
def test_a_claim_reaches_the_api_in_the_header_of_the_provider(credential, path, own, acme):
    headers = acme.bearer if credential == "token" else {"Acme-Key": acme.api_key}

    assert tenants(own.client.get(path, headers=headers)) == ["acme"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_claim_is_never_the_clients(spelling, own, acme, nobody):
    """A key without the claim has an empty header, which must win over the forged one, too."""
    forged = [(spelling, FORGED), (spelling, FORGED)]

    assert tenants(own.client.get("/me", headers=[*forged, *acme.bearer.items()])) == ["acme"]
    assert tenants(own.client.get("/me", headers=[*forged, *nobody.bearer.items()])) == []
    assert tenants(own.client.get("/me", headers=[*forged, ("Acme-Key", nobody.api_key)])) == []


@pytest.mark.parametrize(
    "connection",
    [["X-Tenant"], ["close, x-tenant"], ["keep-alive", "Hourpass-Subject, X-TENANT"], ["X_Tenant, X-Tenant"]],
    ids=["alone", "in a list", "in a second line", "in two spellings"],
)
def test_a_client_cannot_have_a_claim_taken_away(connection, own, acme):
    headers = [*(("Connection", value) for value in connection), ("X-Tenant", FORGED), *acme.bearer.items()]

    assert tenants(own.client.get("/me", headers=headers)) == ["acme"]


@pytest.mark.parametrize("name", ALL)
def test_the_header_is_closed_to_clients_even_if_hourpass_does_not_send_it(name, start, hourpass, reader):
    """The lines are switched on, and the setting is not there yet."""
    own = start(with_claims(name, {}), hourpass.port)
    answer = own.client.get("/me", headers={"X-Tenant": FORGED, **reader.bearer})
    own.stop()

    assert tenants(answer) == []


@pytest.mark.parametrize("spelling", ["Hourpass-Claim-Seats", "hourpass_claim_seats", "Hourpass.Claim.Seats"])
def test_a_claim_of_the_family_is_protected_without_a_line(spelling, own, acme):
    """Traefik, Envoy and HAProxy pass it on, too. nginx and Caddy have lines to name it in."""
    headers = {spelling: FORGED, "Connection": "Hourpass-Claim-Seats", **acme.bearer}
    answer = own.client.get("/me", headers=headers)

    assert FORGED not in answer.text
    received = [value for name, value in answer.json()["headers"] if name.lower() == "hourpass-claim-seats"]
    assert received == ([] if own.name in ("nginx", "caddy") else ["7"])


@pytest.mark.parametrize("name", ALL)
def test_the_optional_lines_take_a_name_of_the_family_too(name, start, claiming, acme, nobody):
    own = start(with_claims(name, {"X-Tenant": "Hourpass-Claim-Seats"}), claiming.port)
    forged = {"Hourpass-Claim-Seats": FORGED, "Connection": "Hourpass-Claim-Seats"}
    answers = [own.client.get("/me", headers={**forged, **key.bearer}) for key in (acme, nobody)]
    own.stop()

    received = [{name.lower(): value for name, value in answer.json()["headers"]} for answer in answers]
    assert [headers.get("hourpass-claim-seats", "") for headers in received] == ["7", ""]


def test_a_key_in_the_header_of_the_provider_reaches_hourpass_and_never_the_api(own, acme, api_received):
    answer = own.client.get("/videos/1", headers={"Acme-Key": acme.api_key})

    assert answer.status_code == 200
    assert acme.api_key not in answer.text
    assert own.client.get("/me", headers={"Acme-Key": acme.api_key, **acme.bearer}).status_code == 401
    assert acme.api_key not in str(api_received())


@pytest.mark.parametrize("name", ["acme_key", "ACME.KEY", "Acme~Key"])
def test_a_key_in_another_spelling_of_that_header_never_reaches_the_api(name, own, acme):
    answer = own.client.get("/me", headers={name: acme.api_key, **acme.bearer})

    assert answer.status_code == 200
    assert acme.api_key not in answer.text
