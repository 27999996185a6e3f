"""What each page of the console and each list of the admin API costs among many keys, grants and lines of the trail.

`python -m bench.lists` fills a database of each kind (two minutes), and asks a real admin application in this process.
It prints the CPU time of the best of some rounds in milliseconds, of this process and its PostgreSQL together, and
marks what takes more than 100. A busy machine adds to the time on the clock, but hardly to this.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from bench.many import NOW, WEBHOOK, fill
from bench.postgres import Postgres, binaries
from bench.servers import descendants
from hourpass.core.actor import Actor
from hourpass.core.grant import GrantRef
from hourpass.core.key_filter import KeyFilter
from hourpass.core.policy import DAY, SECOND
from hourpass.core.sign_in import SignIn, hash_of
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.keys.api_keys import create_key, keys_with_uses
from hourpass.server.run.open import open_store
from hourpass.server.serve import create_app
from hourpass.server.settings.settings import Settings
from hourpass.server.store import reading, transaction
from hourpass.server.transport.request import Request

LIMIT = 100
"""Milliseconds of server time that a page may take."""

EVERY = "every key judged by the rules, for comparison"
"""What no page does."""

HOST = "127.0.0.1:8081"
ROUNDS = 5
ENOUGH = 2
"""Seconds of CPU after which no further round is needed."""

SIGN_IN = "b" * 43


def pages(ids, grant):
    """What somebody asks who is signed in as an owner: a name, and the path."""
    busy, middle = ids[0], ids[len(ids) // 2]
    hours = {"since": "2h", "until": "1h"}

    def of(path, **query):
        return f"/console{path}" + (f"?{urlencode(query)}" if query else "")

    return {
        "overview": of("/"),
        "overview, 7 days": of("/", hours=168),
        "keys": of("/keys"),
        **{f"keys, {state}": of("/keys", state=state) for state in ("active", "disabled", "expired", "revoked")},
        **{f"keys, {use}": of("/keys", use=use) for use in ("raw", "unused", "expiring", "waiting")},
        "keys by a tag": of("/keys", tag="cost=96"),
        "keys by a tag, none": of("/keys", tag="cost=none"),
        "keys by a text": of("/keys", q="SSEL 77 OF"),
        "keys by a text, none": of("/keys", q="nothing at all"),
        "keys by a text beyond ASCII": of("/keys", q="SCHLÜSSEL 77 OF"),
        "keys by a text beyond ASCII, none": of("/keys", q="süß"),
        "keys by everything, none": of("/keys", q="billing", state="disabled", use="raw", tag="cost=none"),
        "key": of(f"/keys/{middle}"),
        "key, the busiest": of(f"/keys/{busy}"),
        **{f"key, {act}": of(f"/keys/{busy}/{act}") for act in ("edit", "rotate", "disable", "revoke", "leaked")},
        "grants": of("/grants"),
        **{
            f"grants, {state}": of("/grants", state=state)
            for state in ("live", "expired", "ended", "disabled", "revoked", "replayed", "token_revoked")
        },
        "grants of the busiest key": of("/grants", key=busy),
        "grants of it, none": of("/grants", key=busy, state="revoked"),
        "grant": of(f"/grants/{grant.grant_id.hex()}", key=grant.key_id),
        "grant by its id alone": of(f"/grants/{grant.grant_id.hex()}"),
        "grant that is not there": of(f"/grants/{'00' * 16}"),
        "grant, revoke": of(f"/grants/{grant.grant_id.hex()}/revoke", key=grant.key_id),
        "signing keys": of("/signing-keys"),
        "audit": of("/audit"),
        "audit of a key": of("/audit", key=busy),
        "audit of a grant, none": of("/audit", grant=grant.grant_id.hex()),
        "audit by an event": of("/audit", event="key.created"),
        "audit by a rare event": of("/audit", event="grant.replayed"),
        "audit by an event, none": of("/audit", event="key.leaked"),
        "audit by an actor": of("/audit", actor="cli:"),
        "audit by a rare actor": of("/audit", actor="key:000000000001"),
        "audit by an actor, none": of("/audit", actor="cli:nobody"),
        "audit in an hour": of("/audit", **hours),
        "audit in a past hour": of("/audit", since="2026-12-30T00:00:00Z", until="2026-12-30T01:00:00Z"),
        "audit in a past hour, by an actor, none": of(
            "/audit", since="2027-01-05T00:00:00Z", until="2027-01-06T00:00:00Z", actor="cli:nobody"
        ),
        "audit by an event and an actor, none": of("/audit", event="key.created", actor="cli:nobody"),
        "audit of a key by an actor, none": of("/audit", key=busy, actor="cli:nobody"),
        "audit since a week by an event and an actor": of("/audit", since="7d", event="grant.replayed", actor="cli:"),
        "inspect, emergency brake": of("/inspect/brake"),
        "connect": of("/connect"),
        "webhooks": of("/webhooks"),
        "webhook and its deliveries": of(f"/webhooks/{WEBHOOK}"),
        "webhook, delete": of(f"/webhooks/{WEBHOOK}/delete"),
        "sessions": of("/sessions"),
    }


def lists(ids, grant):
    """What programs ask with the token of an owner."""
    busy = ids[0]
    week = "2027-01-08T00:00:00Z"

    def of(path, **query):
        return f"/admin/v1{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")

    return {
        "200 keys": of("/keys", limit=200),
        **{f"200 keys, {state}": of("/keys", limit=200, state=state) for state in ("active", "expired")},
        "200 keys of a subject": of("/keys", limit=200, subject="acme/77"),
        "200 keys of a subject, none": of("/keys", limit=200, subject="nobody"),
        "200 keys by an external id": of("/keys", limit=200, external_id="ext-777"),
        "200 keys by two tags": of("/keys", limit=200, tag=("team=billing", "cost=96")),
        "200 keys by three tags, none": of("/keys", limit=200, tag=("team=billing", "cost=96", "a=b")),
        "200 keys that expire soon": of("/keys", limit=200, expires_within=30 * DAY // SECOND),
        "200 keys sent themselves": of("/keys", limit=200, raw_since=7 * DAY // SECOND),
        "200 keys unused for long": of("/keys", limit=200, unused_for=119 * DAY // SECOND),
        "200 keys whose next secret waits": of("/keys", limit=200, next_waits="true"),
        "200 keys by a text, none": of("/keys", limit=200, text="nothing at all"),
        "200 grants": of("/grants", limit=200),
        "200 grants, expired": of("/grants", limit=200, state="expired"),
        "200 grants, none in a state": of("/grants", limit=200, state="restored"),
        "200 grants of the busiest key": of(f"/keys/{busy}/grants", limit=200),
        "timeline of a grant by its id alone": of(f"/grants/{grant.grant_id.hex()}/timeline"),
        "200 lines, oldest first": of("/audit", limit=200),
        "200 newest lines": of("/audit", limit=200, newest="true"),
        "200 newest lines by an actor, none": of("/audit", limit=200, newest="true", actor="cli:nobody"),
        "200 lines by an actor, none": of("/audit", limit=200, actor="cli:nobody"),
        "200 lines by an event, none": of("/audit", limit=200, event="key.leaked"),
        "200 lines since a week by an event": of("/audit", limit=200, since=week, event="grant.replayed"),
        "events": of("/events", limit=200),
        "overview as JSON": of("/overview", hours=168),
        "deliveries": of(f"/webhooks/{WEBHOOK}/deliveries", limit=200),
    }


def own_lists(grant):
    """What programs ask with the token of a delegated key that sees one subject in a thousand."""

    def of(path, **query):
        return f"/admin/v1{path}" + (f"?{urlencode(query)}" if query else "")

    return {
        "own keys": of("/keys"),
        "own keys by a text, none": of("/keys", text="nothing at all"),
        "own grants": of("/grants"),
        "own grants, none in a state": of("/grants", state="restored"),
        "own lines": of("/audit", newest="true"),
        "own lines by an event, none": of("/audit", newest="true", event="key.leaked"),
        "own events": of("/events"),
        "another's grant by its id alone": of(f"/grants/{grant.grant_id.hex()}"),
    }


class Desk:
    """An admin application on a filled database, without the work that a node does besides answering."""

    def __init__(self, url, folder, server=None):
        self._settings = Settings(
            data=str(folder), database_url=url, durability="normal", issuer="http://bench", admin_limit=1_000_000
        )
        self._server = server
        self.absent = set()
        self._app = create_app(self._settings, clock=lambda: NOW, environ={})
        self._running = self._app._running
        self._headers = {"": ((b"host", HOST.encode()), (b"cookie", f"hourpass_8081={SIGN_IN}".encode()))}

    async def open(self, size):
        store = open_store(self._settings)
        store.migrate(NOW)
        await self._app.start()
        for task in self._running.background._tasks:
            task.cancel()
        self.ids = fill(store, **size) if size is not None else [key.key_id for key, _ in keys_with_uses(store)]
        self._admin = AdminApp(self._app, HOST)
        with transaction(store):
            store.add_sign_in(SignIn(hash_of(SIGN_IN), "cli:bench", None, None, NOW, NOW))
        await self._token(store, "owner", "owner")
        await self._token(store, "delegated", "operator", subject_prefix="acme/99", max_scope="videos.read")
        with reading(store):
            self.grant = store.grants_page(GrantRef(self.ids[len(self.ids) // 2], b""), 1)[0]
        if self._server is not None:
            # In one process, so that all of its CPU time is seen. A search in parallel is faster by the clock.
            store._execute("set statement_timeout = 0")
            store._execute("vacuum analyze")
        return store

    async def _token(self, store, who, role, **members):
        given = {"name": who, "now": NOW, "random": os.urandom, "actor": Actor("bench"), "admin": role, **members}
        with transaction(store):
            new = create_key(store, self._app.issuer.secrets.pepper, **given)
        await self._app.issuer.verification.observe(NOW)
        body = msgspec.json.encode({"apiKey": new.api_key})
        headers = ((b"host", HOST.encode()), (b"content-type", b"application/json"))
        reply = await self._admin.answer(Request("POST", "/auth/api-key", b"", headers, "127.0.0.1", body))
        token = msgspec.json.decode(reply.body)["access_token"]
        self._headers[who] = ((b"authorization", f"Bearer {token}".encode()),)

    async def ask(self, who, target):
        path, _, query = target.partition("?")
        return await self._admin.answer(Request("GET", path, query.encode(), self._headers[who], "127.0.0.1"))

    def spent(self):
        """The CPU seconds of this process and of the database server's."""
        beside = 0
        for pid in descendants(self._server.process.pid) if self._server is not None else ():
            beside += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        return time.process_time() + beside

    async def cost(self, who, target):
        """The best CPU milliseconds of some rounds, and the best by the clock."""
        cpu, clock = [], []
        while len(cpu) < ROUNDS and sum(cpu) < ENOUGH:
            began, spent = time.perf_counter(), self.spent()
            reply = await self.ask(who, target)
            clock.append(time.perf_counter() - began)
            cpu.append(self.spent() - spent)
            if reply.status != (404 if target in self.absent else 200):
                raise RuntimeError(f"{target}: {reply.status} {reply.body[:300]!r}")
        return min(cpu) * 1e3, min(clock) * 1e3

    async def close(self):
        await self._admin.close()
        await self._running._ledger.close()
        self._running._let_go()


async def measured(url, folder, server=None, size=None, only=""):
    desk = Desk(url, folder, server)
    store = await desk.open(size)
    asked = [
        ("", pages(desk.ids, desk.grant)),
        ("owner", lists(desk.ids, desk.grant)),
        ("delegated", own_lists(desk.grant)),
    ]
    desk.absent = {asked[0][1]["grant that is not there"], asked[2][1]["another's grant by its id alone"]}
    costs = {}
    began, spent = time.perf_counter(), desk.spent()
    with reading(store):
        for key, uses in keys_with_uses(store):
            KeyFilter(state="revoked").takes(key, NOW, uses)
    costs[EVERY] = (desk.spent() - spent) * 1e3, (time.perf_counter() - began) * 1e3
    for who, targets in asked:
        for name, target in targets.items():
            if only in name:
                costs[name] = await desk.cost(who, target)
    store.close()
    await desk.close()
    return costs


def measure(url, folder, server=None, size=None, only=""):
    """Each page and list with its cost on one database, which is filled first unless `size` is None."""
    return asyncio.run(measured(url, folder, server, size, only))


def show(found):
    """A table of what everything costs, with a mark beside what costs too much."""
    heads = "".join(f"{name:>12}{'clock':>9}" for name in found)
    lines = [f"{'CPU ms, and ms by the clock':46}{heads}"]
    questions = next(iter(found.values()))
    over = 0
    for name in questions:
        worst = max(costs[name][0] for costs in found.values())
        mark = f"  over {LIMIT}" if worst > LIMIT and name != EVERY else ""
        over += bool(mark)
        figures = "".join(f"{costs[name][0]:12.1f}{costs[name][1]:9.1f}" for costs in found.values())
        lines.append(f"{name:46}{figures}{mark}")
    lines.append(f"{over} of {len(questions) - 1} pages and lists cost more than {LIMIT} ms")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("keys", 100_000), ("grants", 1_000_000), ("audit", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    size = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        found = {"SQLite": measure(f"sqlite:{folder}/hourpass.db", folder, size=size)}
        if binaries() is not None:
            postgres = Postgres(Path(folder) / "postgres", core=None)
            try:
                postgres.run("alter system set max_parallel_workers_per_gather = 0")
                postgres.run("select pg_reload_conf()")
                found["PostgreSQL"] = measure(postgres.new_database("lists"), folder, postgres, size)
            finally:
                postgres.stop()
    print(show(found))


if __name__ == "__main__":
    main()
