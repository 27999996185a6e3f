"""Imported keys: found by digest, and proven as keys of our own are."""

import asyncio

import pytest
from tests.server.conftest import nobodys_key
from tests.server.test_api_keys import basic
from tests.server.test_verify import invalid, verify

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.errors import InvalidCredentials
from hourpass.core.key_hash import PLAIN, KeyHash, imported_digest

pytestmark = pytest.mark.anyio

TEXT = "sk_live_4242424242424242"
EXCHANGE = "/auth/api-key"


async def import_key(server, text=TEXT, *, hashed_by=PLAIN, key_id="imported0001", **members):
    """Keep a key as an import does, in another process."""
    pepper, now = server.app.issuer.secrets.pepper.secret, server.clock()
    plain = ApiKey(
        key_id=key_id,
        name="imported",
        subject="account-7",
        scope="videos.read",
        environment="production",
        audience=None,
        retry_window=None,
        allowed_ips=(),
        created_at=now,
        secrets=(KeySecret(imported_digest(pepper, hashed_by.of(text)), 0, now),),
    )

    def work(store):
        store.add_key(plain._replace(**members))
        store.add_key_hash(hashed_by.name, now)

    await server.app.issuer.ledger.run(work)
    await server.later(0)


@pytest.mark.parametrize("hashed_by", [PLAIN, KeyHash("sha256"), KeyHash("sha512")], ids=lambda each: each.name)
async def test_an_imported_key_is_exchanged_unchanged(server, http, hashed_by):
    await import_key(server, hashed_by=hashed_by)

    answers = [await http.post(EXCHANGE, json={"apiKey": TEXT}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_an_imported_key_is_accepted_at_a_protected_endpoint(server):
    await import_key(server)

    answer = await verify(server, basic(f"{TEXT}:"))

    assert (answer.status_code, answer.headers["hourpass-key-id"]) == (204, "imported0001")


@pytest.mark.parametrize("credentials", [(TEXT, ""), ("imported0001", TEXT)], ids=["user", "id and secret"])
async def test_an_imported_key_is_an_oauth_2_client(server, http, credentials):
    await import_key(server)

    answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=credentials)

    assert answer.status_code == 200


async def test_a_text_in_our_own_shape_may_be_an_imported_key(server):
    await import_key(server, nobodys_key())

    await server.exchange(nobodys_key())


async def test_a_revoked_imported_key_is_told_so(server):
    await import_key(server, revoked_at=server.clock())

    assert (await verify(server, basic(f"{TEXT}:"))).headers["www-authenticate"] == invalid("revoked")


@pytest.mark.parametrize("text", [TEXT + "x", "short", "x" * 513, "ü" * 20, "", "imported0001"])
async def test_another_text_is_not_a_key(server, text):
    await import_key(server)

    with pytest.raises(InvalidCredentials) as refused:
        await server.exchange(text)

    assert refused.value.reason is None


async def test_the_hash_of_a_key_is_not_a_key(server):
    await import_key(server, hashed_by=KeyHash("sha256"))

    for text in (KeyHash("sha256").of(TEXT).hex(), KeyHash("sha256").of(TEXT).decode("latin-1")):
        with pytest.raises(InvalidCredentials):
            await server.exchange(text)


async def test_wrong_texts_are_not_remembered(server):
    await import_key(server)
    before = len(server.app.issuer.ledger.keys)

    await asyncio.gather(*(server.exchange(f"sk_live_{n:020}") for n in range(50)), return_exceptions=True)

    assert len(server.app.issuer.ledger.keys) == before


async def test_no_database_is_asked_about_foreign_texts_if_nothing_was_imported(server):
    with pytest.raises(InvalidCredentials):
        await server.exchange(TEXT)  # it learns which hashes are in use

    with pytest.raises(InvalidCredentials):
        server.exchange(TEXT).send(None)  # it is refused without waiting for anything


async def test_its_uses_are_noted_under_its_id(server, http):
    await import_key(server)

    await http.post(EXCHANGE, json={"apiKey": TEXT})
    await verify(server, basic(f"{TEXT}:"))
    await http.post("/oauth/revoke", data={"token": "eyJ0.e30.x"}, auth=(TEXT, ""))

    seen = server.app.issuer.last_uses.seen
    assert {kind: list(keys) for kind, keys in seen.items()} == {
        "exchanged": ["imported0001"],
        "refreshed": [],
        "raw": ["imported0001"],
    }
