"""An access token of an admin key that was ended by another process does nothing more, before this node has looked."""

import os
import time

import pytest
from tests.server.conftest import claims_of

from hourpass.admin.operations import ROTATE_KEY
from hourpass.admin.shapes import RotateKey
from hourpass.core.actor import SERVER
from hourpass.core.claims import UnverifiedClaims
from hourpass.core.grant import GrantRef
from hourpass.server.admin.administration import Administration, AdminKeyIdentity
from hourpass.server.keys.api_keys import revoke_grant, revoke_issued_before, revoke_key, revoke_token
from hourpass.server.keys.editing import disable_key, update_key
from hourpass.server.keys.rotation import rotate_key_at_once
from hourpass.testing import START

pytestmark = pytest.mark.anyio


def end_grant(store, token: UnverifiedClaims, now, issuer):
    ref = GrantRef(token.client_id, bytes.fromhex(token.sid))
    revoke_grant(store, store.grants([ref])[ref], now, issuer.policy, actor=SERVER)


ENDS = {
    "its key was replaced at once": lambda store, token, now, issuer: rotate_key_at_once(
        store, issuer.secrets, token.client_id, now, issuer.policy, random=os.urandom, actor=SERVER
    ),
    "its key was changed at once": lambda store, token, now, issuer: update_key(
        store, token.client_id, {"name": "another"}, now, actor=SERVER, ends_tokens=issuer.policy
    ),
    "its key was disabled": lambda store, token, now, issuer: disable_key(store, token.client_id, now, actor=SERVER),
    "its key was revoked": lambda store, token, now, issuer: revoke_key(
        store, token.client_id, now, issuer.policy, SERVER
    ),
    "its grant was revoked": end_grant,
    "it was revoked": lambda store, token, now, issuer: revoke_token(store, token, now, actor=SERVER),
    "all of that time were revoked": lambda store, _, now, issuer: revoke_issued_before(
        store, now, now, issuer.policy, SERVER
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_token_that_was_ended_elsewhere_changes_and_reads_nothing(anywhere, end):
    caller, other = await anywhere.caller(), await anywhere.caller()
    assert (await caller.get("/me")).status_code == 200
    anywhere.clock.advance(0.5)
    issuer, now = anywhere.app.issuer, anywhere.clock()
    claims = issuer.verification.verify(caller.token.encode(), now)
    await issuer.ledger.run(lambda store: ENDS[end](store, claims, now, issuer))

    made = await caller.post("/keys", json={"name": "back door", "admin": "owner"})
    read = await caller.get("/keys")

    assert (made.status_code, read.status_code) == (401, 401)
    assert made.json()["code"] == "invalid_token"
    await anywhere.later(1)
    good = await anywhere.caller_with(other.api_key)
    assert "back door" not in (await good.get("/keys")).text


async def test_a_change_that_is_made_again_is_not_refused_for_what_it_ended_itself(here):
    """A commit that came too late in its second is made again, and the caller needs the secret that it made."""
    owner = await here.caller()
    issuer, instants = here.app.issuer, [START + 999, START + 999]

    def clock() -> int:
        return instants.pop() if instants else START + 1_100

    def slow_random(count: int) -> bytes:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        return os.urandom(count)

    def judge(store, now) -> None:
        issuer.verification.verify_as_stored(store, owner.token.encode(), now)

    def rotate(store):
        desk = Administration(store, here.settings, issuer.secrets.master, issuer.secrets, clock, slow_random)
        return desk.call(
            ROTATE_KEY, RotateKey(key_id=owner.key_id, now=True), AdminKeyIdentity(owner.key_id, judge=judge)
        )

    rotated = await issuer.ledger.lend(rotate)
    here.clock.advance(2)

    assert claims_of((await here.caller_with(rotated.api_key)).token)["client_id"] == owner.key_id
    lines = await issuer.ledger.read(lambda store: store.audit_after(0, 100))
    assert [line.event for line in lines].count("key.rotated") == 2
