"""A database with an audit trail and its chain, for those who tamper with it."""

import os
from contextlib import closing

import apsw
import psycopg
from tests.contract.conftest import NOW

from hourpass.core.actor import Actor
from hourpass.core.grant_events import GrantsClosed
from hourpass.core.policy import Policy
from hourpass.server.keys.audit_chain import chain_rows, prune_rows, verify_trail
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.signing_keys import prepare
from hourpass.server.store import reading, transaction

MASTER = MasterKey(bytes(range(32)))
ACTOR = Actor("cli:root", "192.0.2.1", "r1")


class Trail:
    """A database with a trail of one row and the chain. `sql` is what somebody does who can write to it."""

    def __init__(self, database) -> None:
        self.database = database
        self.store = database.connect()
        with transaction(self.store):
            self.secrets = prepare(self.store, MASTER, "Ed25519", NOW, Policy(), os.urandom, serving=True)
        self.chain()

    def write(self, count: int = 1, at: int = NOW) -> None:
        with transaction(self.store):
            self.store.append_audit(at, [GrantsClosed(f"k{n}", n, ACTOR) for n in range(count)])

    def chain(self, now: int = NOW) -> None:
        more = True
        while more:
            with transaction(self.store):
                more = chain_rows(self.store, self.secrets, now)

    def prune(self, before: int, limit: int = 1_000, now: int = NOW) -> int:
        with transaction(self.store):
            return prune_rows(self.store, self.secrets, before, now, limit)

    def verified(self, now: int = NOW):
        with reading(self.store):
            return verify_trail(self.store, self.secrets, now)

    def says(self, now: int = NOW) -> list[str]:
        return [str(finding) for finding in self.verified(now).findings]

    def sql(self, *statements: str) -> None:
        if self.database.remote:
            with psycopg.connect(self.database.url) as db:
                for statement in statements:
                    db.execute(statement)
        else:
            with closing(apsw.Connection(str(self.database.path))) as db:
                for statement in statements:
                    db.execute(statement)
