"""kill -9 in the middle of a copy: the target is as empty as before, and can be copied into again."""

import signal
import subprocess
import sys

import pytest
from tests.contract.conftest import NOW
from tests.copy.conftest import MASTER, content, fill

from hourpass.server.copy import copy
from hourpass.server.store.tables import TABLES

COPY = """
import os, signal, sys
from hourpass.server.copy import copy
from hourpass.server.store.postgres import PostgresStore
from hourpass.server.store.sqlite import SqliteStore

def open_store(url):
    return SqliteStore(url.removeprefix("sqlite:")) if url.startswith("sqlite:") else PostgresStore(url)

def die(table, rows, total):
    if table == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

copy(open_store(sys.argv[1]), open_store(sys.argv[2]), int(sys.argv[4]), progress=die)
"""


@pytest.mark.parametrize("table", ["secrets", "grants", "audit"])
def test_a_copy_that_was_killed_left_nothing_and_is_made_again(mixed, table):
    """A database with half of it would start, and refuse the other half's clients."""
    source, target = fill(mixed.source), mixed.target.open()

    killed = subprocess.run(
        [sys.executable, "-c", COPY, mixed.source.url, mixed.target.url, table, str(NOW)], check=False, timeout=60
    )

    assert killed.returncode == -signal.SIGKILL
    assert content(mixed.target) == {table.name: [] for table in TABLES}
    copy(source, target, NOW, master=MASTER)
    assert content(mixed.target) == content(mixed.source)
