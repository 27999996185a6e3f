"""RFC 9700 §4.14, refresh token protection: rotation finds the thief, whether thief or owner comes second."""

import pytest
from tests.server.conftest import claims_of

JSON = "/auth/refresh"
FORM = "/oauth/token"


async def refresh(http, token, path=JSON):
    if path == JSON:
        return await http.post(JSON, json={"refreshToken": token})
    return await http.post(FORM, data={"grant_type": "refresh_token", "refresh_token": token})


async def verifies(http, access):
    return (await http.get("/auth/verify", headers={"authorization": f"Bearer {access}"})).status_code == 204


@pytest.mark.anyio
async def test_4_14_2_each_refresh_issues_a_new_refresh_token(server, http):
    """§4.14.2, rotation."""
    _, token = await server.tokens()
    seen = [token]
    for _ in range(3):
        seen.append((await refresh(http, seen[-1])).json()["refresh_token"])

    assert len(set(seen)) == 4
    assert [claims_of(one)["gen"] for one in seen] == [0, 1, 2, 3]


@pytest.mark.anyio
@pytest.mark.parametrize("path", [JSON, FORM])
async def test_4_14_2_a_thief_that_comes_second_ends_the_grant_for_both(server, http, path):
    """§4.14.2: the server cannot tell who is who, so it revokes the active token too."""
    _, stolen = await server.tokens()
    victim = (await refresh(http, stolen)).json()
    await server.later(61)

    thief = await refresh(http, stolen, path)

    assert (thief.status_code, thief.json()["reason"]) == (400, "replayed")
    assert (await refresh(http, victim["refresh_token"])).json()["reason"] == "replayed"
    assert not await verifies(http, victim["access_token"])


@pytest.mark.anyio
@pytest.mark.parametrize("path", [JSON, FORM])
async def test_4_14_2_a_victim_that_comes_second_ends_the_grant_for_both(server, http, path):
    """The victim's next hourly refresh is what finds a thief that was faster."""
    access, stolen = await server.tokens()
    thief = (await refresh(http, stolen)).json()
    await server.later(3_500)

    victim = await refresh(http, stolen, path)

    assert victim.json()["reason"] == "replayed"
    assert (await refresh(http, thief["refresh_token"])).json()["reason"] == "replayed"
    assert not await verifies(http, thief["access_token"])
    assert not await verifies(http, access)


@pytest.mark.anyio
async def test_4_14_2_any_older_generation_is_a_replay(server, http):
    _, first = await server.tokens()
    token = first
    for _ in range(20):
        token = (await refresh(http, token)).json()["refresh_token"]
        await server.later(61)

    assert (await refresh(http, first)).json()["reason"] == "replayed"


@pytest.mark.anyio
async def test_4_14_2_a_replay_ends_its_own_grant_and_no_other_of_the_key(server, http):
    key = await server.create_key()
    stolen, other = [(await server.exchange(key)).refresh_token.decode() for _ in range(2)]
    await refresh(http, stolen)
    await server.later(61)
    await refresh(http, stolen)

    assert (await refresh(http, other)).status_code == 200
    assert (await http.post("/auth/api-key", json={"apiKey": key})).status_code == 200


@pytest.mark.anyio
async def test_4_14_2_a_retry_starts_no_second_lineage(server, http):
    """contract.md, promise 1: the winner and the losers of a race all get the same generation."""
    _, token = await server.tokens()
    one, two = [(await refresh(http, token)).json()["refresh_token"] for _ in range(2)]

    rotated = (await refresh(http, one)).json()["refresh_token"]
    retried = (await refresh(http, two)).json()["refresh_token"]

    assert claims_of(rotated)["gen"] == claims_of(retried)["gen"] == 2


@pytest.mark.anyio
async def test_4_14_2_a_replay_is_written_into_the_audit_trail_without_any_token(server, http):
    """An operator must be able to prove it."""
    access, stolen = await server.tokens()
    await refresh(http, stolen)
    await server.later(61)
    await refresh(http, stolen)

    trail = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 100))

    (event,) = [record for record in trail if record.event == "grant.replayed"]
    assert event.grant_id == claims_of(access)["sid"]
    assert event.key_id == claims_of(access)["client_id"]
    assert event.detail == {"presented_generation": 0, "current_generation": 1}
    assert (event.actor, event.address) == ("client", "127.0.0.1")
    assert stolen not in str(trail)


@pytest.mark.anyio
async def test_4_14_2_a_replay_is_one_warning_line_in_the_log_without_any_token(server, http, caplog):
    """A person who watches only the log sees it as well."""
    access, stolen = await server.tokens()
    await refresh(http, stolen)
    await server.later(61)
    await refresh(http, stolen)
    await refresh(http, stolen)

    (line,) = [record for record in caplog.records if record.msg == "a refresh token was replayed"]
    claims = claims_of(access)
    assert (line.levelname, line.key_id, line.grant_id) == ("WARNING", claims["client_id"], claims["sid"])
    assert line.address == "127.0.0.1"
    assert stolen not in str(vars(line))


@pytest.mark.anyio
async def test_4_14_2_a_refresh_token_that_is_not_used_expires(server, http):
    """§4.14.2: SHOULD expire if the client has been inactive for some time."""
    _, token = await server.tokens()
    await server.later(30 * 86_400)

    assert (await refresh(http, token)).json()["reason"] == "expired"


@pytest.mark.anyio
async def test_4_14_2_a_forged_older_generation_revokes_nothing(server, http):
    """The generation that the signature proves works once, not the text of the token."""
    _, token = await server.tokens()
    current = (await refresh(http, token)).json()["refresh_token"]
    await server.later(61)
    forged = ".".join((*token.split(".")[:2], current.split(".")[2]))

    assert (await refresh(http, forged)).json()["reason"] == "malformed"
    assert (await refresh(http, current)).status_code == 200
