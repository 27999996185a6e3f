"""`GET /.well-known/jwks.json` as something that caches keep."""

import pytest

from hourpass.server.endpoints.documents import JWKS_MAX_AGE
from hourpass.server.keys.master_key import load_master_key
from hourpass.server.keys.signing_keys import prepare

PATH = "/.well-known/jwks.json"


async def publish_successor(server, tmp_path):
    """Schedule a key of another algorithm, as a restart with a new `signing_algorithm` does."""
    master = load_master_key(None, tmp_path, {})
    policy, now = server.settings.policy(), server.clock()
    await server.app.issuer.ledger.run(
        lambda store: prepare(store, master, "Ed25519", now, policy, lambda n: bytes(n), serving=True)
    )
    await server.later(0)


def algorithms(answer):
    return {key["alg"] for key in answer.json()["keys"]}


@pytest.mark.anyio
async def test_the_set_may_be_cached_for_half_the_time_that_a_key_is_published_ahead(server, http):
    """Nobody may meet a token whose key a cache has not shown yet."""
    answer = await http.get(PATH)

    assert answer.headers["cache-control"] == f"public, max-age={JWKS_MAX_AGE}"
    assert server.settings.policy().publish_ahead >= JWKS_MAX_AGE * 1000 * 2


@pytest.mark.anyio
async def test_an_unchanged_set_is_304_without_a_body(http):
    """RFC 9110 §13.1.2, §15.4.5."""
    first = await http.get(PATH)

    again = await http.get(PATH, headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert "content-length" not in again.headers  # it would be that of the whole set (RFC 9110 §8.6)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"]


@pytest.mark.anyio
@pytest.mark.parametrize("spell", ["W/{}", '"x", {}', '{} , "y"'])
async def test_a_weak_or_listed_etag_is_recognised(http, spell):
    etag = (await http.get(PATH)).headers["etag"]

    assert (await http.get(PATH, headers={"if-none-match": spell.format(etag)})).status_code == 304


@pytest.mark.anyio
@pytest.mark.parametrize("etag", ['"x"', "", '"'])
async def test_another_etag_gets_the_set(http, etag):
    answer = await http.get(PATH, headers={"if-none-match": etag})

    assert (answer.status_code, len(answer.json()["keys"])) == (200, 1)


@pytest.mark.anyio
async def test_a_new_key_changes_the_etag_and_is_shown_before_it_signs(start, tmp_path):
    server = await start(data=str(tmp_path))
    http = server.client()
    before = await http.get(PATH)

    await publish_successor(server, tmp_path)
    after = await http.get(PATH, headers={"if-none-match": before.headers["etag"]})
    pair = await server.exchange(await server.create_key())

    assert (after.status_code, algorithms(after)) == (200, {"ES256", "Ed25519"})
    verified = await http.get("/auth/verify", headers={"authorization": f"Bearer {pair.access_token.decode()}"})
    assert verified.status_code == 204


@pytest.mark.anyio
async def test_a_retired_key_stays_until_its_last_token_has_expired(start, tmp_path):
    """Ten minutes until the successor signs, then an hour and the leeway of 5 s."""
    server = await start(data=str(tmp_path))
    await publish_successor(server, tmp_path)
    await server.later(600 + 3_605 - 0.001)
    shown = algorithms(await server.client().get(PATH))

    await server.later(0.001)

    assert shown == {"ES256", "Ed25519"}
    assert algorithms(await server.client().get(PATH)) == {"Ed25519"}
