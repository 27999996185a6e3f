"""Receivers over TLS, an authority that signs their certificates, and a store with a master key."""

import itertools
import ssl

import pytest
from tests.webhooks.certificates import Authority
from tests.webhooks.receivers import Receiver, accepts

from hourpass.core.audit import Actor
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.store.sqlite import SqliteStore

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
