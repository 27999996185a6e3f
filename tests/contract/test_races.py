"""The ledger's promises on every store that several processes share: one lineage in every race.

contract.md, promises 1 and 4.
"""

import asyncio

import pytest
from tests.contract.conftest import NOW, make_key
from tests.contract.desk import POLICY, nothing, open_desk

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidCredentials
from hourpass.core.grant import Burst, Dead, Replay, Retry, Rotate, decide_refresh, revoke
from hourpass.core.policy import RING_SIZE
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.ledger.batch import Settling
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.store import transaction

pytestmark = pytest.mark.anyio

LATER = NOW + POLICY.retry_window + 1
"""One millisecond after the retry window of what was superseded at NOW."""


@pytest.fixture
async def desk(shared):
    async with open_desk(shared) as desk:
        yield desk


async def decisions(futures) -> list:
    return [answer.decision for answer in await asyncio.gather(*futures)]


def generations(decided) -> set[int]:
    return {decision.grant.generation for decision in decided}


def rotated(grant, now=NOW):
    return decide_refresh(grant, grant.generation, now, POLICY).grant


# A key that ends while others are looked up.


def test_a_row_read_before_a_key_ended_is_not_remembered_after_it(shared):
    """The look-up of both keys sees one moment. Another transaction of this node notices the end meanwhile."""
    first, ended = make_key("A" * 12), make_key("B" * 12)
    reader, writer = shared.connect(), shared.connect()
    with transaction(writer):
        writer.add_key(first)
        writer.add_key(ended)
    settling = Settling(POLICY, None, None)

    class Meanwhile:
        def key(self, key_id):
            key = reader.key(key_id)
            if key_id == first.key_id:
                with transaction(writer):
                    revoke_key(writer, ended.key_id, NOW, POLICY, Actor("test"))
                settling.keys_at(writer.look().version)
            return key

    reader.begin_reading()
    settling.keys_at(reader.control().version)
    found = settling.look_up(Meanwhile(), [first.key_id, ended.key_id])
    reader.commit()

    assert [key.revoked_at for key in found] == [None, None]
    assert settling.keys.get(ended.key_id) is None


# Many callers with one grant, in one transaction.


async def test_sixty_four_refreshes_with_one_token_are_one_rotation_and_all_get_its_generation(desk):
    grant = desk.grant()

    decided = await decisions(desk.refresh(grant) for _ in range(64))

    assert [type(decision) for decision in decided] == [Rotate] + [Retry] * 63
    assert generations(decided) == {1}
    assert desk.store.seen["rotations"] == desk.store.seen["commits"] == 1
    assert desk.row(grant).generation == 1


async def test_a_ring_of_rotations_within_the_window_ends_in_a_burst_that_all_share(desk):
    grant = desk.grant()
    for generation in range(RING_SIZE):
        await desk.refresh(grant, generation)

    decided = await decisions(desk.refresh(grant, RING_SIZE) for _ in range(10))

    assert {type(decision) for decision in decided} == {Burst}
    assert generations(decided) == {RING_SIZE}


async def test_a_replay_before_a_rotation_of_the_same_grant_ends_it_for_both(desk):
    grant = desk.grant()
    await desk.refresh(grant)

    replayed, late = await decisions([desk.refresh(grant, 0, LATER), desk.refresh(grant, 1, LATER)])

    assert isinstance(replayed, Replay)
    assert late == Dead("replayed")
    assert (desk.row(grant).generation, desk.row(grant).revoked_why) == (1, "replayed")


async def test_a_rotation_before_a_replay_of_the_same_grant_is_kept_and_ended(desk):
    grant = desk.grant()
    await desk.refresh(grant)

    moved, replayed = await decisions([desk.refresh(grant, 1, LATER), desk.refresh(grant, 0, LATER)])

    assert (type(moved), type(replayed)) == (Rotate, Replay)
    assert (desk.row(grant).generation, desk.row(grant).revoked_why) == (2, "replayed")
    assert (await decisions([desk.refresh(grant, 2, LATER)])) == [Dead("replayed")]


async def test_a_replay_that_comes_many_times_is_one_revocation_and_one_event(desk):
    grant = desk.grant()
    await desk.refresh(grant)

    answers = await asyncio.gather(*(desk.refresh(grant, 0, LATER) for _ in range(5)))

    assert [type(answer.decision) for answer in answers] == [Replay] + [Dead] * 4
    entries = desk.seen_by_others(lambda store: store.revocations_after(0, LATER))
    assert [answer.revocation for answer in answers] == [*entries, None, None, None, None]
    assert [(entry.kind, entry.value) for entry in entries] == [("grant", grant.grant_id.hex())]
    assert desk.trail() == ["grant.replayed"]


async def test_grants_of_one_transaction_do_not_mix(desk):
    grants = [desk.grant(number) for number in range(3)]
    await asyncio.gather(desk.refresh(grants[1]), desk.refresh(grants[2]))

    answers = await asyncio.gather(
        desk.refresh(grants[0]), desk.open(desk.new_grant(9)), desk.refresh(grants[1]), desk.refresh(grants[2], 5)
    )

    assert [type(getattr(answer, "decision", answer)).__name__ for answer in answers] == [
        "Rotate",
        "Opened",
        "Retry",
        "Ahead",
    ]
    assert desk.trail() == ["refresh.ahead"]


async def test_a_client_that_repeats_a_token_from_the_future_has_a_line_an_hour(desk):
    grant, another = desk.grant(1), desk.grant(2)
    for seconds in (0, 1, 3_599):
        await desk.refresh(grant, 7, NOW + 1_000 * seconds)
    await desk.refresh(another, 7, NOW + 1_000)
    assert desk.trail() == ["refresh.ahead"] * 2

    await desk.refresh(grant, 7, NOW + 3_600_000)

    assert desk.trail() == ["refresh.ahead"] * 3


# Another node that changes a grant between reading and storing.


MEANWHILE = {
    "moved it": (lambda store, grant: store.save_rotations([(0, rotated(grant))]), Retry),
    "revoked it": (lambda store, grant: store.revoke_grant(revoke(grant, NOW, "revoked")), Dead),
    "closed it": (lambda store, grant: store.delete_grants([grant.ref]), Dead),
}


@pytest.mark.parametrize(("change", "decision"), MEANWHILE.values(), ids=MEANWHILE)
async def test_a_rotation_that_lost_is_decided_again(desk, change, decision):
    grant, bystander = desk.grant(1), desk.grant(2)

    def step_in(store):
        desk.store.before_save = nothing
        change(store, grant)

    desk.store.before_save = step_in
    decided = await decisions([desk.refresh(grant), desk.refresh(bystander), desk.refresh(grant)])

    assert [type(one) for one in decided] == [decision, Rotate, decision]
    assert generations(one for one in decided if not isinstance(one, Dead)) == {1}
    assert desk.row(bystander).generation == 1


async def test_a_replay_whose_rotation_lost_revokes_what_the_other_node_left(desk):
    grant = desk.grant()
    await desk.refresh(grant)
    current = desk.row(grant)

    def step_in(store):
        desk.store.before_save = nothing
        store.save_rotations([(1, rotated(current, LATER))])

    desk.store.before_save = step_in
    late, replayed = await decisions([desk.refresh(grant, 1, LATER), desk.refresh(grant, 0, LATER)])

    assert (type(late), type(replayed)) == (Retry, Replay)
    assert (desk.row(grant).generation, desk.row(grant).revoked_why) == (2, "replayed")


# A key or a grant that another process ends.


async def test_a_key_revoked_by_another_process_is_refused_in_the_very_next_transaction(desk):
    grant = desk.grant()
    await asyncio.gather(desk.refresh(grant), desk.open(desk.new_grant(2)))
    assert desk.ledger.cached_key(desk.key.key_id) == desk.key
    with transaction(desk.other):
        revoke_key(desk.other, desk.key.key_id, NOW, POLICY, Actor("test"))

    refreshed, opened = await asyncio.gather(
        desk.refresh(grant, 1), desk.open(desk.new_grant(3)), return_exceptions=True
    )

    assert refreshed.decision == Dead("key_disabled")
    assert isinstance(opened, InvalidCredentials)
    assert desk.row(desk.new_grant(3)) is None
    assert desk.row(grant).generation == 1


async def test_a_grant_revoked_by_another_process_never_rotates_again(desk):
    grant = desk.grant()
    await desk.refresh(grant)
    with transaction(desk.other):
        desk.other.revoke_grant(revoke(desk.other.grants([grant.ref])[grant.ref], NOW, "revoked"))

    decided = await decisions(desk.refresh(grant, generation) for generation in (0, 1, 2))

    assert decided == [Dead("revoked")] * 3
    assert desk.row(grant).generation == 1


async def test_two_ledgers_race_for_one_grant_and_all_get_the_same_generation(shared, desk):
    """Two servers on one database: each holds up the other's transactions."""
    grant = desk.grant()
    second = Ledger(shared.connect(), POLICY, remote=shared.remote)
    decided = await decisions(desk.refresh(grant, ledger=ledger) for _ in range(32) for ledger in (desk.ledger, second))
    await second.close()

    assert sorted(type(decision).__name__ for decision in decided) == ["Retry"] * 63 + ["Rotate"]
    assert generations(decided) == {1}
    assert desk.row(grant).generation == 1
