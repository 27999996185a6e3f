"""Rows that somebody else holds for long: an operator's psql, or a node that froze in a transaction.

Only their own callers wait for them. A row that is passed over is never taken for one that does not exist.
"""

import asyncio
import time

import httpx2
import psycopg
import pytest
from tests.contract.conftest import make_grant, rotated
from tests.contract.desk import POLICY, Desk
from tests.e2e.conftest import PLAIN, claims_of, generation
from tests.postgres.conftest import NOW

from hourpass.core.grant import Dead, Replay, Rotate
from hourpass.server.ledger.asking import GrantHeld, Opened
from hourpass.server.ledger.ledger import HELD_PAUSES, Ledger
from hourpass.server.store import transaction

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(database):
    """A ledger with two connections. Its policy closes grants beyond three of a key."""
    desk = Desk(database, 10)
    await desk.ledger.close()
    policy = POLICY._replace(grants_per_key=3)
    desk.ledger = Ledger(desk.store, policy, remote=True, others=[database.connect()])
    yield desk
    desk.other.rollback()
    await desk.ledger.close()


HOLD = "select 1 from grants where grant_id = any(%s) for update"


def hold(desk, *grants) -> None:
    """As an operator's `begin; select … for update`, until the other connection ends its transaction."""
    desk.other.begin(wait=False)
    desk.other._execute(HOLD, [[grant.grant_id for grant in grants]])


HOLDERS = {
    "locks it": lambda store, grant: store._execute(HOLD, [[grant.grant_id]]),
    "takes it": lambda store, grant: store.take_grants([grant.ref]),
    "rotates it": lambda store, grant: store.save_rotations([(0, rotated(grant))]),
    "revokes it": lambda store, grant: store.revoke_grant(grant._replace(revoked_at=NOW, revoked_why="revoked")),
    "closes it": lambda store, grant: store.delete_grants([grant.ref]),
}


@pytest.mark.parametrize("holds", HOLDERS.values(), ids=HOLDERS)
def test_a_grant_is_taken_or_held_or_does_not_exist_and_nobody_waits(database, holds):
    free, held, unborn, unknown = (make_grant(number) for number in range(4))
    store, other = database.connect(), database.connect()
    with transaction(store):
        store.add_grants([free, held])
    other.begin(wait=False)
    holds(other, held)
    other.add_grants([unborn])
    began = time.monotonic()

    store.begin(wait=False)
    taken = store.take_grants([free.ref, held.ref, unborn.ref, unknown.ref])
    store.rollback()

    assert taken == ({free.ref: free}, {held.ref})
    assert time.monotonic() - began < 1, "less than a statement waits for a row"
    other.rollback()
    store.begin(wait=False)
    assert store.take_grants([held.ref]) == ({held.ref: held}, set())


async def test_the_others_of_a_batch_are_answered_while_the_caller_of_a_held_grant_waits(desk):
    held, *others = (desk.grant(number) for number in range(1, 40))
    hold(desk, held)

    waiting = desk.refresh(held)
    answers = await asyncio.gather(*map(desk.refresh, others))

    assert {type(answer.decision) for answer in answers} == {Rotate}
    assert not waiting.done()
    desk.other.rollback()
    assert isinstance((await waiting).decision, Rotate)


async def test_a_grant_that_stays_held_is_storage_trouble_in_the_end_and_never_unknown(desk):
    held = desk.grant()
    hold(desk, held)
    began = time.monotonic()

    with pytest.raises(GrantHeld):
        await desk.refresh(held)

    assert time.monotonic() - began >= sum(HELD_PAUSES)
    desk.other.rollback()
    assert isinstance((await desk.refresh(held)).decision, Rotate)


async def test_when_the_holder_lets_go_its_change_decides(desk):
    held = desk.grant()
    desk.other.begin(wait=False)
    desk.other.revoke_grant(held._replace(revoked_at=NOW, revoked_why="revoked"))
    waiting = desk.refresh(held)
    await asyncio.sleep(0.05)

    desk.other.commit()

    assert (await waiting).decision == Dead("revoked")


async def test_a_replayed_and_an_unknown_grant_are_told_apart_from_a_held_one(desk):
    held, replayed, unknown = desk.grant(1), desk.grant(2), make_grant(3)
    await desk.refresh(replayed)
    hold(desk, held)
    late = NOW + POLICY.retry_window + 1

    waiting = desk.refresh(held)
    replay, dead = await asyncio.gather(desk.refresh(replayed, 0, late), desk.refresh(unknown))

    assert isinstance(replay.decision, Replay)
    assert replay.revocation is not None
    assert dead.decision == Dead("unknown")
    assert not waiting.done()


async def test_a_held_grant_that_would_be_closed_is_left_for_the_next_exchange(desk):
    grants = [desk.grant(number) for number in range(1, 4)]
    hold(desk, *grants)
    began = time.monotonic()

    opened = await desk.open(desk.new_grant(4))
    assert opened == Opened(desk.key, 0)

    assert time.monotonic() - began < 1, "less than a statement waits for a row"
    desk.other.rollback()
    assert (await desk.open(desk.new_grant(5))).closed == 2
    assert desk.trail() == ["grants.closed"]


async def test_closing_waits_for_the_callers_of_held_grants(desk):
    held = desk.grant()
    hold(desk, held)
    waiting = desk.refresh(held)
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(desk.ledger.close())
    await asyncio.sleep(0.05)
    desk.other.rollback()

    await closing

    assert isinstance(waiting.result().decision, Rotate)


async def test_while_somebody_holds_four_rows_three_nodes_refuse_nobody_else(nodes, own_database):
    urls = [nodes.start().url for _ in range(3)]
    api_key = nodes.create_key()["api_key"]
    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=48), **PLAIN) as http:

        async def ask(node: int, path: str, **body: str) -> httpx2.Response:
            return await http.post(urls[node % 3] + path, json=body)

        opened = await asyncio.gather(*(ask(n, "/auth/api-key", apiKey=api_key) for n in range(48)))
        tokens = [answer.json()["refresh_token"] for answer in opened]

        seconds: list[float] = []

        async def refresh_often(client: int) -> set[int]:
            token, seen = tokens[client], set()
            for turn in range(1, 5):
                asked = time.monotonic()
                answer = await ask(client + turn, "/auth/refresh", refreshToken=token)
                seconds.append(time.monotonic() - asked)
                seen.add(answer.status_code)
                token = answer.json()["refresh_token"]
            return seen

        with psycopg.connect(own_database.url) as operator:
            operator.execute(HOLD, [[bytes.fromhex(claims_of(token)["sid"]) for token in tokens[:4]]])
            held = [asyncio.create_task(ask(n, "/auth/refresh", refreshToken=tokens[n])) for n in range(4)]
            began = time.monotonic()
            others = await asyncio.gather(*map(refresh_often, range(4, 48)))
            rate = len(seconds) / (time.monotonic() - began)
            refused = await asyncio.gather(*held)
            operator.rollback()
        asked_again = await asyncio.gather(*(ask(n + 1, "/auth/refresh", refreshToken=tokens[n]) for n in range(4)))

    worst = sorted(seconds)[int(len(seconds) * 0.99)]
    print(f"the others: {rate:.0f} refreshes a second, p99 {worst * 1000:.0f} ms")
    assert others == [{200}] * 44
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 4
    assert [generation(answer.json()["refresh_token"]) for answer in asked_again] == [1] * 4
