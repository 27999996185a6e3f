"""Databases with many grants, made through the store itself, and refresh tokens for them."""

import os
import random
import time
from pathlib import Path

from hourpass.core.grant import GRANT_ID_ENTROPY, decide_refresh, new_grant_id, open_grant
from hourpass.core.policy import HOUR, Policy
from hourpass.server.run.open import open_secrets, open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store import transaction

BATCH = 500

OPENED_PER_MS = 10
"""How many grants a busy server opens in a millisecond. The database has them in any order, later ones after them."""

ISSUER = "http://bench"
"""The issuer of the tokens that are minted here. The server must have the same one."""

TOKENS = 50_000
"""How many refresh tokens to mint, so that some seconds of load do not use them up. A grant that is refreshed too often
in a minute answers with the same pair again."""


def fill(folder, key_id, count, *, refreshes=0, tokens=0, issuer="", database=None, addresses=False):
    """Open grants, rotate each one hourly as a client would, and mint refresh tokens for some of them.

    Without the URL of a database, it uses SQLite.
    With `addresses` each is opened and refreshed from an IPv4 address of its own. IPv6 takes 34 bytes more.
    """
    settings = Settings(data=str(folder), database_url=database, durability="normal")
    store = open_store(settings)
    policy = Policy()
    now = time.time_ns() // 1_000_000 - refreshes * HOUR - count // OPENED_PER_MS
    _, secrets = open_secrets(store, settings, {}, now)
    minted = []
    refresh_tokens = secrets.refresh_tokens(issuer)
    grants = []
    for _ in range(0, count, BATCH):
        batch = [
            open_grant(
                grant_id=new_grant_id(at, os.urandom(GRANT_ID_ENTROPY), key_id),
                seed=os.urandom(16),
                key_id=key_id,
                scope=None,
                now=at,
                policy=policy,
                opened_from=_address() if addresses else None,
            )
            for at in (now + number // OPENED_PER_MS for number in range(BATCH))
        ]
        now = batch[-1].created_at + 1
        with transaction(store):
            store.add_grants(batch)
        store.maintain()
        if refreshes:
            grants.extend(batch)
        if tokens:
            second = now // 1000
            minted += [refresh_tokens.mint(grant, second) for grant in batch[:: max(1, count // tokens)]]
    for _ in range(refreshes):
        now += HOUR
        for at in range(0, len(grants), BATCH):
            batch = grants[at : at + BATCH]
            rotated = [(g.generation, _rotated(g, now, policy, addresses)) for g in batch]
            with transaction(store):
                store.save_rotations(rotated)
            grants[at : at + BATCH] = [grant for _, grant in rotated]
            store.maintain()
    store.close()
    return [token.decode() for token in minted]


def _address():
    return os.urandom(4)


def _rotated(grant, now, policy, addresses):
    last_from = grant.opened_from if addresses else None
    return decide_refresh(grant, grant.generation, now, policy, last_from=last_from).grant


class Refreshing:
    """Grants to refresh, run after run, each with the tokens that come next: so nearly every refresh is a rotation.

    They come in the order in which they were opened, or in random order. If there are few, the list repeats.
    """

    def __init__(self, server, grants, *, shuffled=False):
        self._server = server
        self._tokens = fill(server.folder, server.key_id, grants, tokens=min(grants, TOKENS), issuer=ISSUER)
        if shuffled:
            random.shuffle(self._tokens)

    def load(self, seconds, connections, *, through=None, **more):
        """`through` is a server in front. `more` goes to the load generator."""
        path = Path(self._server.folder) / "bench-tokens.txt"
        path.write_text("\n".join(self._tokens))
        target = through or self._server
        figures = target.load(seconds, connections, path="/auth/refresh", tokens=path, keep_tokens=True, **more)
        self._tokens = path.read_text().split()
        return figures

    def warm_up(self, connections):
        """Refresh each grant about once. The first time, the database reads the grant's page from its file."""
        turned = 0
        while turned < len(self._tokens):
            turned += self.load(1, connections)["requests"]


def database_mb(folder):
    return sum(file.stat().st_size for file in Path(folder).glob("hourpass.db*")) / 1e6
