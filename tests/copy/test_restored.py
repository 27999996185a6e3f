"""A restored backup: its grants and access tokens end in the same transaction in which it arrives."""

import signal
import subprocess
import sys
from functools import partial

import pytest
from tests.contract.conftest import NOW
from tests.copy.conftest import MASTER, content, fill

from hourpass.core.actor import Actor
from hourpass.core.policy import HOUR, SECOND, Policy
from hourpass.server.copy import copy
from hourpass.server.keys.api_keys import end_restored_grants
from hourpass.server.store import transaction
from hourpass.server.store.tables import TABLES

POLICY = Policy()

DIE = """
import os, signal, sys
from hourpass.core.policy import Policy
from hourpass.server.copy import copy
from hourpass.core.actor import Actor
from hourpass.server.keys.api_keys import end_restored_grants
from hourpass.server.store.postgres import PostgresStore
from hourpass.server.store.sqlite import SqliteStore

def open_store(url):
    return SqliteStore(url.removeprefix("sqlite:")) if url.startswith("sqlite:") else PostgresStore(url)

def finish(target):
    end_restored_grants(target, int(sys.argv[3]), Policy(), Actor("test"))
    os.kill(os.getpid(), signal.SIGKILL)

copy(open_store(sys.argv[1]), open_store(sys.argv[2]), int(sys.argv[3]), finish=finish)
"""


def restore(source, target):
    end = partial(end_restored_grants, now=NOW + 1, policy=POLICY, actor=Actor("test"))
    copy(source, target, NOW, master=MASTER, finish=end)


def grants_of(store):
    store.begin_reading()
    found = store.grants_page(("", b""), 1_000)
    store.rollback()
    return found


def test_every_grant_ends_and_keeps_the_reason_that_it_had(pair):
    source, target = fill(pair.source), pair.target.open()
    before = {grant.ref: grant for grant in grants_of(source)}

    restore(source, target)

    after = grants_of(target)
    assert {grant.ref for grant in after} == before.keys()
    for grant in after:
        was = before[grant.ref]
        assert grant.revoked_at == (was.revoked_at or NOW + 1)
        assert grant.revoked_why == (was.revoked_why or "restored")
        assert grant._replace(revoked_at=None, revoked_why=None) == was._replace(revoked_at=None, revoked_why=None)


def test_one_entry_refuses_every_earlier_token_and_the_trail_says_so(pair):
    source, target = fill(pair.source), pair.target.open()
    live = sum(grant.revoked_at is None for grant in grants_of(source))
    with transaction(source):
        last = source.numbers().last_revocation

    restore(source, target)

    with transaction(target):
        entry = target.revocations_after(last, NOW)
        [trail] = target.audit_after(target.control().last_audit - 1, 10)
    second = NOW // SECOND + 1
    assert [(each.kind, each.value, each.until) for each in entry] == [
        ("issued_before", str(second), NOW + 1 + POLICY.revocation_lifetime)
    ]
    assert entry[0].until >= NOW + HOUR
    members = {"grants_ended": live, "issued_before": second}
    assert (trail.event, trail.detail, trail.actor) == ("restored", members, "test")


def test_a_restore_that_was_killed_is_not_restored_at_all(mixed):
    source, target = fill(mixed.source), mixed.target.open()

    killed = subprocess.run(
        [sys.executable, "-c", DIE, mixed.source.url, mixed.target.url, str(NOW)], check=False, timeout=60
    )

    assert killed.returncode == -signal.SIGKILL
    assert content(mixed.target) == {table.name: [] for table in TABLES}
    restore(source, target)
    assert all(grant.revoked_at is not None for grant in grants_of(target))


@pytest.mark.parametrize("milliseconds", [0, 1, 999])
def test_a_token_of_the_second_of_the_restore_is_refused_and_one_of_the_next_is_not(pair, milliseconds):
    store = fill(pair.source)
    with transaction(store):
        restored = end_restored_grants(store, NOW + milliseconds, POLICY, Actor("test"))

    assert restored.issued_before == NOW // SECOND + 1
