"""Of several servers on one database one delivers to webhooks, and another one takes over when it is gone."""

import time

import pytest
from tests.webhooks.certificates import Authority
from tests.webhooks.conftest import Desk
from tests.webhooks.receivers import Receiver, wait_until

from hourpass.server.settings.settings import Settings
from hourpass.server.webhooks.deliverer import LEASE


@pytest.fixture
def receiver(tmp_path):
    authority = Authority(tmp_path)
    receiver = Receiver(authority.certificate("127.0.0.1"))
    receiver.trusted = {"SSL_CERT_FILE": str(authority.file)}
    yield receiver
    receiver.close()


@pytest.fixture
def desk(nodes, own_database, tmp_path):
    key = nodes.environment["HOURPASS_MASTER_KEY"]
    made = []

    def open_desk():
        made.append(Desk(Settings(data=str(tmp_path / "desk"), database_url=own_database.url, master_key=key), {}))
        return made[-1]

    yield open_desk
    for each in made:
        each.close()


def holder(database):
    rows = database.run("select holder from leases where name = 'webhooks' and until > %s", int(time.time() * 1000))
    return rows[0][0] if rows else None


def test_one_of_two_servers_delivers_and_the_other_takes_over_when_it_is_killed_or_stopped(
    nodes, own_database, receiver, desk
):
    def start():
        return nodes.start(environment=receiver.trusted, webhook_allow_private="true")

    first = start()
    wait_until(lambda: holder(own_database))
    second = start()
    operator = desk()
    operator.create(receiver.url())
    numbers = operator.happen(20)
    wait_until(lambda: len(receiver.received) >= 20)

    # Both have looked several times by now, and nothing came twice.
    was = holder(own_database)
    numbers += operator.happen(20)
    wait_until(lambda: len(receiver.received) >= 40)
    assert receiver.numbers() == numbers
    assert receiver.connections == 1
    wait_until(lambda: operator.do(lambda store: store.webhooks()[0].delivered) == numbers[-1])

    first.kill()
    killed = time.monotonic()
    numbers += operator.happen(1)
    wait_until(lambda: receiver.numbers()[-1] == numbers[-1])
    assert time.monotonic() - killed < LEASE / 1000 + 5
    assert receiver.numbers() == numbers
    assert holder(own_database) not in (None, was)

    # A server that drains gives the lease back: nobody waits for it to end.
    third = start()
    assert second.stop() == 0
    stopped = time.monotonic()
    numbers += operator.happen(1)
    wait_until(lambda: receiver.numbers()[-1] == numbers[-1])
    assert time.monotonic() - stopped < LEASE / 1000 - 2
    assert receiver.numbers() == numbers
    assert third.stop() == 0
