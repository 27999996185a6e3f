"""A backup beside a server that works: clients notice nothing, and what is in it is one moment of the server's."""

import asyncio
import json
import threading

import httpx2
import pytest
from tests.contract.conftest import NOW, make_grant
from tests.e2e.conftest import PLAIN, claims_of, exchange, generation, refresh, verify

from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore
from hourpass.server.store.sqlite_connection import LOG_BOUND
from hourpass.server.store.tables import TABLES

GRANTS = next(table for table in TABLES if table.name == "grants")
PAGE = 4_096


class Clients:
    """They exchange and refresh without a pause. Their answers are kept, and every status."""

    def __init__(self, server, api_key: str) -> None:
        self._server = server
        self._api_key = api_key
        self.statuses: set[int] = set()
        self.told: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        async with httpx2.AsyncClient(base_url=self._server.url, **PLAIN) as http:
            while not stop.is_set():
                pair = await self._ask(http, "/auth/api-key", {"apiKey": self._api_key})
                for _ in range(3):
                    pair = await self._ask(http, "/auth/refresh", {"refreshToken": pair["refresh_token"]})

    async def _ask(self, http, path: str, body: dict) -> dict:
        answer = await http.post(path, json=body)
        self.statuses.add(answer.status_code)
        token = answer.json()["refresh_token"]
        self.told[claims_of(token)["sid"]] = generation(token)
        return answer.json()


@pytest.mark.anyio
async def test_clients_notice_nothing_of_a_backup_and_it_holds_all_that_they_were_told_before(serve, tmp_path):
    server = serve(exchange_limit=0)
    clients, stop = Clients(server, server.create_key()["api_key"]), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(clients.run(stop))
        while len(clients.told) < 50:
            await asyncio.sleep(0.01)
        told_before = dict(clients.told)
        files = [tmp_path / f"{number}.db" for number in range(2)]
        for file in files:
            await asyncio.to_thread(server.command, "backup", str(file))
        stop.set()

    assert clients.statuses == {200}
    for file in files:
        store = SqliteStore(file, read_only=True)
        held = {row[1].hex(): row[2] for row in store.rows_page(GRANTS, GRANTS.start, 1_000_000)}
        store.close()
        assert all(held[grant] >= told for grant, told in told_before.items())
        assert all(held[grant] <= clients.told[grant] for grant in held.keys() & clients.told.keys())


def test_a_backup_of_a_server_that_was_killed_holds_every_acknowledged_change(serve, tmp_path):
    """Its log was never copied into the file. The backup reads both."""
    server = serve()
    key = server.create_key()
    pair = exchange(server, key["api_key"]).json()
    pair = refresh(server, pair["refresh_token"]).json()
    server.kill()

    server.command("backup", str(tmp_path / "backup.db"))

    for file in server.data.glob("hourpass.db*"):
        file.unlink()
    server.command("restore", str(tmp_path / "backup.db"), "--keep-grants")
    server.restart()
    assert verify(server, pair["access_token"]) == 204
    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 2


def test_a_server_does_not_start_into_a_restore(serve, tmp_path):
    """It would make secrets of its own. Either it waits, or it fails. Afterwards it starts with the restored ones."""
    server = serve()
    key = server.create_key()
    server.command("backup", str(tmp_path / "backup.db"))
    server.stop()
    new = tmp_path / "new.db"
    new.touch(0o600)
    holder = SqliteStore(new)
    holder.migrate(NOW)
    assert holder.begin(wait=True)

    refused = server.command("keys", "create", "--name", "x", "--database", f"sqlite:{new}", check=False)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "locked" in refused.stderr
    holder.rollback()
    holder.close()
    server.command("restore", str(tmp_path / "backup.db"), "--database", f"sqlite:{new}")
    listed = server.command("keys", "list", "--json", "--database", f"sqlite:{new}").stdout
    assert [found["key_id"] for found in json.loads(listed)] == [key["key_id"]]


def test_upkeep_of_the_log_holds_up_no_writer_while_somebody_reads_an_old_moment(tmp_path):
    """Starting the log over waits for its readers with writers locked out: two seconds of 503 for a long backup.

    Once nobody reads any more it is written from its beginning again, in place: its size stays as it is.
    """
    writer, reader = (SqliteStore(tmp_path / "hourpass.db") for _ in range(2))
    writer.migrate(NOW)
    reader.begin_reading()
    reader.count_rows(GRANTS)
    log = tmp_path / "hourpass.db-wal"
    with transaction(writer):
        writer._db.execute("create table filler (bytes blob not null)")
        writer._db.execute(f"insert into filler values (zeroblob({LOG_BOUND * PAGE}))")
    assert log.stat().st_size > LOG_BOUND * PAGE
    running, done = threading.Event(), threading.Event()

    def maintain() -> None:
        while not done.is_set():
            writer.maintain()
            running.set()

    thread = threading.Thread(target=maintain)
    thread.start()
    running.wait(20)
    refused = 0
    for n in range(200):
        # Without waiting, as a batch begins: it is refused while another one holds the lock.
        if writer.begin(wait=False):
            writer.add_grants([make_grant(n)])
            writer.commit()
        else:
            refused += 1
    done.set()
    thread.join()

    assert refused == 0
    reader.commit()
    writer.maintain()
    size = log.stat().st_size
    for n in range(500):
        with transaction(writer):
            writer.add_grants([make_grant(200 + n)])
    assert log.stat().st_size == size
    for store in (writer, reader):
        store.close()
