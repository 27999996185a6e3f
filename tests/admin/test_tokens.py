"""Tokens over the admin API: what a caller is told of one, and which it may end."""

import pytest
from tests.admin.conftest import later, refused

pytestmark = pytest.mark.anyio


async def inspected(client, token) -> dict:
    answer = await client.post("tokens/inspect", json={"token": token.decode()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_both_kinds_of_token_have_stable_members(server, owner):
    pair = await server.exchange(await server.create_key(subject="ada", scope="a"))

    access, refresh = await inspected(owner, pair.access_token), await inspected(owner, pair.refresh_token)

    assert (access["kind"], access["valid"], access["reason"]) == ("access_token", True, None)
    assert (refresh["kind"], refresh["valid"], refresh["reason"]) == ("refresh_token", True, None)
    assert access["subject"] == refresh["subject"] == "ada"
    assert access["grant_id"] == refresh["grant_id"]


async def test_the_reason_is_one_stable_word(server, owner):
    api_key = await server.create_key()
    pair = await server.exchange(api_key)
    await owner.post("tokens/revoke", json={"token": pair.access_token.decode()})
    assert (await inspected(owner, pair.access_token))["reason"] == "revoked"
    await owner.post(f"keys/{api_key.split('_')[2]}/revoke")
    assert (await inspected(owner, pair.refresh_token))["reason"] == "key_disabled"
    forged = pair.access_token[:-8] + b"AAAAAAAA"
    assert (await inspected(owner, forged))["reason"] == "forged"
    assert (await inspected(owner, b"nonsense"))["reason"] == "strange"


async def test_the_tokens_of_admin_keys_are_known_too(server, admin, owner):
    api_key = await server.create_key(admin="auditor")
    pair = (await owner.post("http://admin/auth/api-key", json={"apiKey": api_key})).json()
    operator = await admin.called("operator")

    for name in ("access_token", "refresh_token"):
        facts = await inspected(operator, pair[name].encode())
        assert (facts["kind"], facts["valid"], facts["key_id"]) == (name, True, api_key.split("_")[2])
        assert refused(await operator.post("tokens/revoke", json={"token": pair[name]})) == (403, "insufficient_scope")
        assert (await owner.post("tokens/revoke", json={"token": pair[name]})).status_code == 200
        assert not (await inspected(operator, pair[name].encode()))["valid"]


async def test_to_a_delegated_caller_anothers_token_is_a_strangers(server, admin, owner, delegated):
    theirs = await server.exchange(await server.create_key(subject="other/ada"))
    admins = await owner.post("http://admin/auth/api-key", json={"apiKey": await server.create_key(admin="owner")})
    strangers = theirs.access_token[:-8] + b"AAAAAAAA"
    told = await inspected(delegated, strangers)
    ended = refused(await delegated.post("tokens/revoke", json={"token": strangers.decode()}))

    assert ended == (404, "not_found")
    for token in (theirs.access_token, theirs.refresh_token, admins.json()["access_token"].encode()):
        assert await inspected(delegated, token) == told
        answer = await delegated.post("tokens/revoke", json={"token": token.decode()})
        assert refused(answer) == ended
        assert "unknown" in answer.json()["detail"]
    await later(server, 3700)
    delegated = await admin.called("operator", subject_prefix="acme/", max_scope="videos.read")
    assert await inspected(delegated, theirs.access_token) == told


async def test_a_delegated_caller_explains_and_ends_its_own_tokens(server, delegated):
    pair = await server.exchange(await server.create_key(subject="acme/ada", scope="videos.read"))

    for token, ends in ((pair.access_token, "access"), (pair.refresh_token, "grant")):
        assert (await inspected(delegated, token))["valid"]
        answer = await delegated.post("tokens/revoke", json={"token": token.decode()})
        assert answer.json()["revoked"] == ends
        assert not (await inspected(delegated, token))["valid"]


async def test_the_emergency_brake_is_the_owners_and_refuses_every_token_until_now(server, admin, owner, delegated):
    pair = await server.exchange(await server.create_key())

    for caller in (await admin.called("operator"), delegated):
        assert refused(await caller.post("tokens/revoke-issued-before")) == (403, "insufficient_scope")
    soon = await owner.post("tokens/revoke-issued-before", json={"issued_before": "soon"})
    assert refused(soon) == (422, "invalid_request")
    await later(server, 60)
    answer = await owner.post("tokens/revoke-issued-before")

    assert answer.json() == {"issued_before": "2027-01-15T08:01:00Z"}
    assert refused(await owner.get("me")) == (401, "invalid_token")
    assert (await inspected(await admin.called(), pair.access_token))["reason"] == "issued_before"


async def test_an_expired_token_needs_no_revoking(server, admin):
    pair = await server.exchange(await server.create_key())
    await later(server, 3700)
    owner = await admin.called()

    answer = await owner.post("tokens/revoke", json={"token": pair.access_token.decode()})

    assert refused(answer) == (422, "invalid_request")
    assert (await inspected(owner, pair.access_token))["reason"] == "expired"
    assert pair.access_token.decode() not in answer.text
