"""A node that cannot open what is new forgets what is gone at once, and soon issues nothing. It never blames a caller.

The nodes of the installation have the old master key. The command beside them has gone over to another one.
"""

import os
from base64 import b64decode

import pytest
from tests.postgres.conftest import MASTER_KEY
from tests.replacing.test_rotated_secrets import AHEAD, refresh
from tests.server.test_key_rotation import Installation, installation

from hourpass.core.actor import Actor
from hourpass.core.errors import ConfigurationError, InvalidToken, Unavailable
from hourpass.server.issuing.self_rotation import next_secret
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.replacing import retire_secrets, rotate_secret
from hourpass.server.keys.sealed import reseal
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.keys.signing_keys import withdraw_signing_key

pytestmark = pytest.mark.anyio

installation = installation
STALENESS = 10


class Command:
    """What the operator runs beside the nodes, with a master key that none of them has."""

    def __init__(self, there: Installation) -> None:
        self.there = there
        self.master = MasterKey(os.urandom(32), b64decode(MASTER_KEY))
        self.policy = there.first.issuer.policy

    async def run(self, work):
        self.there.clock.advance(0.001)
        now = self.there.clock()
        return await self.there.run(lambda store: work(store, now))

    async def new_master_key(self) -> None:
        await self.run(lambda store, now: reseal(store, self.master, now, actor=Actor("test")))

    async def secrets(self, change, kind: str, *more) -> None:
        def work(store, now):
            secrets = Secrets(self.master, store.sealed_secrets(), now, self.policy)
            return change(store, secrets, kind, now, *more, os.urandom, actor=Actor("test"))

        await self.run(work)

    async def withdraw(self, kid: str) -> None:
        await self.run(
            lambda store, now: withdraw_signing_key(
                store, self.master, kid, now, self.policy, os.urandom, actor=Actor("test")
            )
        )


@pytest.fixture
async def command(installation):
    command = Command(installation)
    await command.new_master_key()
    await installation.observe()
    return command


async def observe_in_vain(there: Installation) -> None:
    with pytest.raises(ConfigurationError, match="it needs the key"):
        await there.last.issuer.verification.observe(there.clock())


async def issues_nothing(there: Installation, api_key: str, refresh_token: bytes) -> None:
    for attempt in (
        there.exchange(api_key),
        refresh(there.last, refresh_token, there.clock),
        there.last.issuer.look_up(refresh_token.decode(), there.clock()),
        next_secret(there.last.issuer, api_key, None, there.clock()),
    ):
        with pytest.raises(Unavailable):
            await attempt


async def test_a_withdrawn_signing_key_is_gone_from_a_node_that_cannot_open_another_secret(installation, command):
    pair = await installation.exchange(await installation.create_key())
    verification = installation.last.issuer.verification
    kid = verification.signing_pair(installation.clock()).kid
    await command.secrets(rotate_secret, "refresh")
    await command.withdraw(kid)

    await observe_in_vain(installation)

    assert verification.jwks(installation.clock()) == []
    with pytest.raises(InvalidToken):
        verification.verify(pair.access_token, installation.clock())
    with pytest.raises(Unavailable):
        verification.signing_pair(installation.clock())


async def test_a_retired_refresh_secret_is_gone_from_a_node_that_cannot_open_the_new_one(installation, command):
    api_key = await installation.create_key()
    pair = await installation.exchange(api_key)
    await command.secrets(rotate_secret, "refresh")
    installation.clock.advance(AHEAD)
    await command.secrets(retire_secrets, "refresh", command.policy)

    await observe_in_vain(installation)

    await issues_nothing(installation, api_key, pair.refresh_token)


async def test_a_node_that_cannot_open_a_new_secret_issues_until_the_staleness_is_over_and_then_nothing(
    installation, command
):
    api_key = await installation.create_key()
    pair = await installation.exchange(api_key)
    await command.secrets(rotate_secret, "pepper")

    installation.clock.advance(STALENESS - 1)
    await observe_in_vain(installation)
    await installation.exchange(api_key)
    pair = await refresh(installation.last, pair.refresh_token, installation.clock)

    installation.clock.advance(1.001)
    await observe_in_vain(installation)
    await issues_nothing(installation, api_key, pair.refresh_token)

    # It gets the new key.
    installation.last.issuer.secrets.master = command.master
    await installation.last.issuer.verification.observe(installation.clock())
    await installation.exchange(api_key)
    await refresh(installation.last, pair.refresh_token, installation.clock)


async def test_what_can_be_opened_is_known_although_something_else_cannot(installation, command):
    """Here the rotation secret was sealed by the old key, as by a command that knows only that one."""
    await command.secrets(rotate_secret, "pepper")
    old = MasterKey(b64decode(MASTER_KEY))
    sealed = old.seal("rotation second", os.urandom(32))
    await command.run(lambda store, now: store.add_secret("rotation", "second", sealed, now, old.ids[0]))

    await observe_in_vain(installation)

    assert installation.last.issuer.secrets.ring("rotation").secrets[0].kid == "second"
