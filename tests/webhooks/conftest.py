"""Receivers over TLS, an authority that signs their certificates, and a store with a master key."""

import itertools
import os
import ssl
import time
from pathlib import Path

import pytest
from tests.webhooks.certificates import Authority
from tests.webhooks.receivers import Receiver, accepts

from hourpass.core.actor import Actor
from hourpass.core.key_events import KeyCreated
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.run.open import open_secrets, open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.webhooks.destination import read_destination
from hourpass.server.webhooks.webhooks import create_webhook, delete_webhook, rotate_webhook_secret, update_webhook

NOW = 1_800_000_000_000
ACTOR = Actor("cli:test")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority):
    """Of an endpoint on loopback, and of two names."""
    return authority.certificate("127.0.0.1", "hooks.example.com", "other.example.com")


@pytest.fixture(scope="session")
def tls(authority):
    """What a sender trusts."""
    return ssl.create_default_context(cafile=authority.file)


@pytest.fixture
def receive(certificate):
    """A factory of endpoints: `receive(accepts)`."""
    receivers: list[Receiver] = []

    def make(answer=accepts, certificate=certificate) -> Receiver:
        receivers.append(Receiver(certificate, answer))
        return receivers[-1]

    yield make
    for each in receivers:
        each.close()


@pytest.fixture
def store():
    """A store inside a transaction."""
    store = SqliteStore(":memory:")
    store.migrate(NOW)
    store.begin(wait=True)
    yield store
    store.close()


@pytest.fixture
def master():
    return MasterKey(bytes(32))


@pytest.fixture
def random():
    """Bytes that are different each time, and the same in each test."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Desk:
    """An operator beside a running server, on its database."""

    def __init__(self, settings: Settings, environ: dict[str, str]) -> None:
        self.now = int(time.time() * 1000)
        self._store = open_store(settings)
        self.master, _ = open_secrets(self._store, settings, environ, self.now)

    def do(self, work):
        with transaction(self._store) as store:
            return work(store)

    def create(self, url, **members):
        to = read_destination(url, allow_private=True)
        return self.do(
            lambda store: create_webhook(store, self.master, to, self.now, os.urandom, actor=ACTOR, **members)
        )

    def change(self, webhook_id, url=None, **members):
        to = url and read_destination(url, allow_private=True)
        return self.do(
            lambda store: update_webhook(store, webhook_id, self.now, actor=ACTOR, destination=to, **members)
        )

    def rotate(self, webhook_id):
        return self.do(
            lambda store: rotate_webhook_secret(store, self.master, webhook_id, self.now, os.urandom, actor=ACTOR)
        )

    def delete(self, webhook_id):
        return self.do(lambda store: delete_webhook(store, webhook_id, self.now, actor=ACTOR))

    def append(self, *events) -> int:
        """Let events happen. Returns the number of the last one."""

        def work(store):
            store.append_audit(int(time.time() * 1000), events)
            return store.control().last_audit

        return self.do(work)

    def happen(self, count) -> list[int]:
        """Let so many published events happen, and return their numbers."""
        last = self.append(*[KeyCreated("0aZkey000001", "a name", ACTOR)] * count)
        return list(range(last - count + 1, last + 1))

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def desk():
    """The operator of a server: `desk(server)`."""
    desks: dict[Path, Desk] = {}

    def of(server) -> Desk:
        if server.data not in desks:
            desks[server.data] = Desk(Settings(data=str(server.data)), {})
        return desks[server.data]

    yield of
    for each in desks.values():
        each.close()
