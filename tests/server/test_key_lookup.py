"""Looking up many keys at once: one transaction at a time, every caller answered, no good key lost in the crowd."""

import asyncio

import pytest

from hourpass.core.errors import StorageUnavailable
from hourpass.server.ledger.key_lookup import TOGETHER, WAITING, KeyLookUp

pytestmark = pytest.mark.anyio


class Database:
    """Knows the keys of even ids. Each transaction waits for the test."""

    def __init__(self):
        self.transactions = []
        self.go_on = asyncio.Semaphore(0)
        self.away = False
        self._asked = []
        self.look_up = KeyLookUp(self._read, self._find)

    async def _read(self, work):
        self._asked = []
        found = work(None)
        self.transactions.append(self._asked)
        await self.go_on.acquire()
        if self.away:
            raise StorageUnavailable("away")
        return found

    def _find(self, store, key_ids):
        self._asked += key_ids
        return [f"key {key_id}" if int(key_id) % 2 == 0 else None for key_id in key_ids]

    def ask(self, *numbers):
        return [asyncio.ensure_future(self.look_up.key(str(number))) for number in numbers]

    async def answer(self, transactions=1):
        for _ in range(transactions):
            await rounds()
            self.go_on.release()
        await rounds()


async def rounds():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_who_ask_during_a_look_up_share_the_next_one():
    database = Database()
    first = database.ask(0)
    await rounds()
    later = database.ask(*range(1, 11))

    await database.answer(2)

    assert await asyncio.gather(*first, *later) == [None if n % 2 else f"key {n}" for n in range(11)]
    assert database.transactions == [["0"], [str(number) for number in range(1, 11)]]


async def test_a_transaction_has_a_bounded_number_of_keys_and_everybody_gets_a_turn():
    database = Database()
    asked = database.ask(*range(2 * TOGETHER + 1))

    await database.answer(3)

    assert len([task for task in asked if task.done()]) == 2 * TOGETHER + 1
    assert [len(each) for each in database.transactions] == [TOGETHER, TOGETHER, 1]


async def test_many_callers_who_ask_for_one_key_cost_one_look_up():
    database = Database()
    asked = database.ask(*[2] * 100)

    await database.answer()

    assert await asyncio.gather(*asked) == ["key 2"] * 100
    assert database.transactions == [["2"]]


async def test_callers_who_asked_during_trouble_get_it_as_the_answer_and_the_next_are_looked_up_again():
    database = Database()
    database.away = True
    asked = database.ask(1, 2)
    await database.answer()
    database.away = False
    again = database.ask(2)
    await database.answer()

    assert [type(outcome) for outcome in await asyncio.gather(*asked, return_exceptions=True)] == [
        StorageUnavailable
    ] * 2
    assert await again[0] == "key 2"


async def test_a_caller_who_leaves_takes_no_answer_from_the_others():
    database = Database()
    leaving, staying = database.ask(2, 2)
    await rounds()
    leaving.cancel()

    await database.answer()

    assert await staying == "key 2"


async def test_the_number_of_waiting_callers_is_bounded():
    database = Database()
    asked = database.ask(*range(WAITING + TOGETHER + 1))
    await rounds()

    refused = [task for task in asked if task.done()]
    assert 1 <= len(refused) <= TOGETHER + 1
    assert all(isinstance(task.exception(), StorageUnavailable) for task in refused)
    await database.answer(WAITING // TOGETHER + 2)
    assert all(task.done() for task in asked)
