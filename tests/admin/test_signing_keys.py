"""Signing keys over the admin API."""

import pytest
from tests.admin.conftest import refused

pytestmark = pytest.mark.anyio


async def test_a_key_is_published_and_then_withdrawn(server, owner):
    [first] = (await owner.get("signing-keys")).json()["data"]

    made = await owner.post("signing-keys/rotate")

    assert (made.status_code, made.json()["state"], made.json()["retires"]) == (201, "published", first["kid"])
    old, new = (await owner.get("signing-keys")).json()["data"]
    assert (old["state"], old["retired_at"]) == ("signing", new["signs_from"])
    assert old["verifies_until"] > old["retired_at"]
    assert new["verifies_until"] is None
    early = await owner.post("signing-keys/rotate")
    assert (refused(early), early.headers["retry-after"]) == ((409, "rotation_under_way"), "600")
    gone = (await owner.post(f"signing-keys/{new['kid']}/withdraw")).json()
    assert (gone["kid"], gone["stand_in"]["state"]) == (new["kid"], "published")
    assert refused(await owner.post(f"signing-keys/{new['kid']}/withdraw")) == (404, "not_found")


async def test_only_an_owner_changes_them_and_a_delegated_caller_sees_none(server, admin, delegated):
    operator = await admin.called("operator")
    [key] = (await operator.get("signing-keys")).json()["data"]

    for path in ("signing-keys/rotate", f"signing-keys/{key['kid']}/withdraw"):
        assert refused(await operator.post(path)) == (403, "insufficient_scope")
    assert refused(await delegated.get("signing-keys")) == (403, "insufficient_scope")
