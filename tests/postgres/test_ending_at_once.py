"""`--now` for several keys: what a thief exchanges while the command runs dies with the rest, however long it takes."""

import json
import threading

import pytest
from tests.e2e.conftest import refresh, verify
from tests.postgres.test_nodes import exchange

KEYS = 24

SLOW = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return new; end $$;
create trigger slow before update on api_keys for each row execute function slow();
"""
"""Each change takes a while, so that all of them take longer than the second that `--now` ends."""


class Thief(threading.Thread):
    """Exchanges a stolen key without pause, until it is refused."""

    def __init__(self, node, api_key: str) -> None:
        super().__init__(daemon=True)
        self._node, self._api_key = node, api_key
        self.pairs: list[dict] = []
        self.begun = threading.Event()

    def run(self) -> None:
        try:
            while True:
                self.pairs.append(exchange(self._node, self._api_key))
                self.begun.set()
        except Exception:
            self.begun.set()


@pytest.mark.parametrize("arguments", [("rotate",), ("disable",), ("update", "--name", "leaked")], ids=lambda a: a[0])
def test_nothing_that_a_thief_got_meanwhile_is_good_afterwards(nodes, own_database, arguments):
    node = nodes.start()
    keys = [nodes.create_key() for _ in range(KEYS)]
    own_database.run(SLOW)
    thief = Thief(node, keys[0]["api_key"])
    thief.start()
    assert thief.begun.wait(10)

    command, *options = arguments
    told = nodes.command("keys", command, *(key["key_id"] for key in keys), *options, "--now", "--json").splitlines()
    cutoff = len(thief.pairs)

    assert [json.loads(line)["key_id"] for line in told] == [key["key_id"] for key in keys]
    if command == "update":  # the key itself goes on, and so do its grants
        assert {verify(node, pair["access_token"]) for pair in thief.pairs[:5]} == {401}
        return
    thief.join(10)
    assert not thief.is_alive()
    assert {verify(node, pair["access_token"]) for pair in thief.pairs} == {401}, cutoff
    if command == "rotate":
        assert {refresh(node, pair["refresh_token"]).status_code for pair in thief.pairs} == {400}
