"""Who has an API key may end it at `/oauth/revoke`, and nobody learns there whether a text is a key."""

import asyncio

import pytest
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_api_keys import basic
from tests.server.test_imported_keys import TEXT, import_key

from hourpass.core.api_key import KeySecret, key_digest
from hourpass.core.key_hash import PLAIN, KeyHash

pytestmark = pytest.mark.anyio


async def revoke(http, token, **more):
    return await http.post("/oauth/revoke", data={"token": token, **more.pop("form", {})}, **more)


async def why(server, key_id):
    """Why the key ended, and the lines of the audit trail about that."""

    def look(store):
        told = [
            (record.event, (record.detail, record.actor, record.address))
            for record in store.audit_after(0, 1_000)
            if record.key_id == key_id
        ]
        return store.key(key_id).revoked_why, [detail for event, detail in told if event == "key.revoked"]

    return await server.app.issuer.ledger.read(look)


async def change(server, api_key, **members):
    key_id = key_id_of(api_key)
    await server.app.issuer.ledger.run(lambda store: store.update_key(store.key(key_id)._replace(**members)))
    await server.later(0)


async def test_a_key_as_the_token_ends_the_key_its_grants_and_their_tokens_at_once(server, http):
    key = await server.create_key()
    pair = (await http.post("/auth/api-key", json={"apiKey": key})).json()

    answer = await revoke(server.client("203.0.113.5"), key)

    assert (answer.status_code, answer.content) == (200, b"")
    expected = ({"reason": "exposed"}, "client", "203.0.113.5")
    assert await why(server, key_id_of(key)) == ("exposed", [expected])
    assert (await http.post("/auth/api-key", json={"apiKey": key})).json()["reason"] == "revoked"
    refreshed = await http.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})
    assert refreshed.json()["reason"] == "key_disabled"
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    assert (await http.get("/auth/verify", headers=bearer)).status_code == 401


async def test_asking_again_or_many_times_at_once_writes_one_line(server, http):
    key = await server.create_key()

    answers = await asyncio.gather(*(revoke(http, key) for _ in range(8)))
    answers.append(await revoke(http, key))

    assert {answer.status_code for answer in answers} == {200}
    assert len((await why(server, key_id_of(key)))[1]) == 1


@pytest.mark.parametrize("hashed_by", [PLAIN, KeyHash("sha256")], ids=lambda each: each.name)
async def test_an_imported_key_is_ended_as_well(server, http, hashed_by):
    await import_key(server, hashed_by=hashed_by)

    assert (await revoke(http, TEXT)).status_code == 200

    assert (await why(server, "imported0001"))[0] == "exposed"


async def test_a_finder_outside_the_allow_list_may_end_the_key(server):
    key = await server.create_key(allowed_ips=("10.0.0.0/8",))

    await revoke(server.client("203.0.113.5"), key)

    assert (await why(server, key_id_of(key)))[0] == "exposed"


@pytest.mark.parametrize("who", ["another client", "a made-up client", "a broken header"])
async def test_the_credentials_of_the_finder_do_not_matter(server, http, who):
    key, other = await server.create_key(), await server.create_key()
    headers = {
        "another client": basic(f"{key_id_of(other)}:{other}"),
        "a made-up client": basic(f"{key_id_of(other)}:wrong"),
        "a broken header": "Basic !!!",
    }

    answer = await revoke(http, key, headers={"authorization": headers[who]})

    assert answer.status_code == 200
    assert (await why(server, key_id_of(key)))[0] == "exposed"
    assert (await why(server, key_id_of(other)))[0] is None


async def test_a_secret_that_nobody_has_used_yet_proves_the_key(server, http):
    key = await server.create_key()
    pepper, now = server.app.issuer.secrets.pepper.secret, server.clock()
    pending = other_secret(key)
    secret = KeySecret(key_digest(pepper, pending), 1, now)
    await server.app.issuer.ledger.run(lambda store: store.add_key_secret(key_id_of(key), secret))
    await server.later(0)

    await revoke(http, pending)

    assert (await why(server, key_id_of(key)))[0] == "exposed"
    secrets = await server.app.issuer.ledger.read(lambda store: store.key(key_id_of(key)).secrets)
    assert [each.first_used_at for each in secrets] == [None, None]


async def test_an_ended_secret_of_a_rotated_key_ends_nothing(server, http):
    key = await server.create_key()

    def rotate(store):
        secret = store.key(key_id_of(key)).secrets[0]
        store.save_key_secret(key_id_of(key), secret._replace(first_used_at=server.clock(), ends_at=server.clock()))

    await server.app.issuer.ledger.run(rotate)
    await server.later(1)

    assert (await revoke(http, key)).status_code == 200
    assert await why(server, key_id_of(key)) == (None, [])


@pytest.mark.parametrize("state", ["disabled_at", "expires_at"])
async def test_a_key_that_is_refused_already_is_not_ended(server, http, state):
    key = await server.create_key()
    await change(server, key, **{state: server.clock()})

    assert (await revoke(http, key)).status_code == 200
    assert await why(server, key_id_of(key)) == (None, [])


STRANGERS = {
    "a made-up secret on a real id": other_secret,
    "nobody's key": lambda key: nobodys_key(),
    "a cut key": lambda key: key[:-1],
    "a word": lambda key: "nothing",
    "an id": key_id_of,
    "a text that is not ASCII": lambda key: "schlüssel-schlüssel-schlüssel",
    "a surrogate": lambda key: "x" * 20 + "\N{REPLACEMENT CHARACTER}",
}


@pytest.mark.parametrize("text", STRANGERS.values(), ids=STRANGERS)
async def test_a_text_that_is_not_a_key_is_answered_the_same_and_ends_nothing(server, http, text):
    key = await server.create_key()
    ended = await revoke(http, await server.create_key())

    answer = await revoke(http, text(key))

    assert (answer.status_code, answer.content) == (200, ended.content)
    assert answer.headers == ended.headers
    assert await why(server, key_id_of(key)) == (None, [])


async def test_a_flood_of_made_up_keys_is_answered_the_same(start):
    server = await start(exchange_limit=1)
    http = server.client()

    assert {(await revoke(http, nobodys_key())).status_code for _ in range(20)} == {200}
    key = await server.create_key()
    await revoke(http, key)
    assert (await why(server, key_id_of(key)))[0] == "exposed"


async def test_tokens_still_need_their_own_client(server, http):
    key, other = await server.create_key(), await server.create_key()
    pair = await server.exchange(key)
    headers = {"authorization": basic(f"{key_id_of(other)}:{other}")}

    assert (await revoke(http, pair.access_token.decode(), headers=headers)).status_code == 400


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
async def test_what_a_file_has_after_the_key_does_not_save_it(server, http, end):
    """The answer would not tell the finder that nothing has ended."""
    key = await server.create_key()

    assert (await revoke(http, key + end)).status_code == 200

    assert (await why(server, key_id_of(key)))[0] == "exposed"
