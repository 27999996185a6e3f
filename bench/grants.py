"""Databases with many grants, made through the store itself, and refresh tokens for them."""

import os
import time
from pathlib import Path

from hourpass.core.grant import decide_refresh, open_grant
from hourpass.core.policy import HOUR, Policy
from hourpass.server.config import Settings
from hourpass.server.serve import open_secrets, open_store
from hourpass.server.store import transaction

BATCH = 500


def fill(folder, key_id, count, *, refreshes=0, tokens=0, issuer=""):
    """Open grants, rotate each hourly as a client would, and mint refresh tokens for some: the path of their list."""
    settings = Settings(data=str(folder), durability="normal")
    store = open_store(settings)
    policy = Policy()
    now = time.time_ns() // 1_000_000 - refreshes * HOUR
    _, secrets = open_secrets(store, settings, {}, now)
    minted = []
    refresh_tokens = secrets.refresh_tokens(issuer)
    grants = []
    for _ in range(0, count, BATCH):
        batch = [
            open_grant(grant_id=os.urandom(16), seed=os.urandom(16), key_id=key_id, scope=None, now=now, policy=policy)
            for _ in range(BATCH)
        ]
        with transaction(store):
            store.add_grants(batch)
        store.maintain()
        if refreshes:
            grants.extend(batch)
        if len(minted) < tokens:
            second = now // 1000
            minted += [
                refresh_tokens.mint(g.ref, g.seed, 0, issued_at=second, expires_at=second + 10**6) for g in batch
            ]
    for _ in range(refreshes):
        now += HOUR
        for at in range(0, len(grants), BATCH):
            batch = grants[at : at + BATCH]
            rotated = [(g.generation, decide_refresh(g, g.generation, now, policy).grant) for g in batch]
            with transaction(store):
                store.save_rotations(rotated)
            grants[at : at + BATCH] = [grant for _, grant in rotated]
            store.maintain()
    store.close()
    path = Path(folder) / "bench-tokens.txt"
    path.write_bytes(b"\n".join(minted[:tokens]))
    return path


def database_mb(folder):
    return sum(file.stat().st_size for file in Path(folder).glob("hourpass.db*")) / 1e6
