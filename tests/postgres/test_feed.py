"""The revocation feed of several nodes is one feed: a verifier behind a proxy asks now this one, now that one."""

import json
import os

import pytest

from hourpass.core.actor import Actor
from hourpass.core.secret_ring import ServerSecret
from hourpass.jose import decode_segment
from hourpass.server.keys.api_keys import create_key, revoke_key

pytestmark = pytest.mark.anyio


async def revoke_any_key(node, clock) -> None:
    """As the command does: the node itself has not looked yet."""

    def work(store):
        key = create_key(
            store, ServerSecret("1", bytes(32)), name="x", now=clock(), random=os.urandom, actor=Actor("test")
        ).key
        revoke_key(store, key.key_id, clock(), node.app.settings.policy(), Actor("test"))

    await node.app.issuer.ledger.run(work)


async def asked(node, clock, after: int, epoch: int) -> dict:
    answer = await node.app.issuer.verification.answer(b"after=%d&epoch=%d" % (after, epoch), clock())
    return json.loads(decode_segment(answer.body.split(b".")[1]))


async def test_a_number_that_one_node_told_is_known_to_the_next_one_that_is_asked(local_nodes):
    clock = local_nodes.clock
    first = await local_nodes("a")
    clock.advance(100)
    second = await local_nodes("b")
    await revoke_any_key(first, clock)
    await first.app.issuer.verification.observe(clock())

    told = await asked(first, clock, 0, 0)
    next_told = await asked(second, clock, told["last"], told["epoch"])

    assert (told["last"], len(told["entries"])) == (1, 1)
    assert (next_told["epoch"], next_told["after"], next_told["last"]) == (told["epoch"], 1, 1)


async def test_a_node_that_starts_when_all_entries_are_over_knows_their_numbers_all_the_same(local_nodes):
    """Else its feed would seem to have been rolled back."""
    clock = local_nodes.clock
    first = await local_nodes("a")
    for _ in range(3):
        await revoke_any_key(first, clock)
    await first.app.issuer.verification.observe(clock())
    told = await asked(first, clock, 0, 0)
    clock.advance(2 * 3600)

    second = await local_nodes("b")

    fresh = await asked(second, clock, told["last"], told["epoch"])
    assert (fresh["epoch"], fresh["last"], fresh["entries"]) == (told["epoch"], 3, [])


async def test_after_a_restored_backup_readers_must_begin_again(database, local_nodes):
    clock = local_nodes.clock
    told = await asked(await local_nodes("a"), clock, 0, 0)
    database.run("update control set numbered_since = numbered_since + 60000")

    restored = await asked(await local_nodes("b"), clock, told["last"], told["epoch"])

    assert restored["epoch"] == told["epoch"] + 60
