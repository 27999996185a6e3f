"""The composition root: settings, clock and environment become a running server.

The admin listener (health and metrics) runs in the same event loop, away from the public port.
"""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import uvloop
from filelock import FileLock, Timeout

from hourpass import __version__
from hourpass.clocks import wall_clock
from hourpass.core.errors import ConfigurationError, HourpassError, Refused, Unavailable, as_trouble
from hourpass.core.grant import GrantRef
from hourpass.core.policy import SECOND
from hourpass.server.app import App
from hourpass.server.asgi import Receive, Scope, Send, respond
from hourpass.server.clocks import NodeClock
from hourpass.server.config import Settings, load, notes, require_issuer
from hourpass.server.issuer import Issuer
from hourpass.server.ledger import Ledger
from hourpass.server.limited_log import LimitedLog
from hourpass.server.opening import (
    default_data,
    make_data_folder,
    open_secrets,
    open_store,
    wait_for_database,
)
from hourpass.server.refusals import Refusals
from hourpass.server.request import Application, Reply, Request
from hourpass.server.sealing import BACK_IT_UP
from hourpass.server.signing_keys import SigningKeys
from hourpass.server.store import SharedStore, Store
from hourpass.server.telemetry import configure_logging, log_what_is_printed, render_metrics
from hourpass.server.timekeeping import Timekeeper
from hourpass.server.transport.listener import Front, bind, bind_unix, inherited, remove_unix
from hourpass.server.verification import Verification
from hourpass.server.workers import Worker, ending_signals, run_workers

OBSERVE_EVERY = 0.25
"""Seconds between looks at what other processes changed; a revocation has to count within one."""

MAINTAIN_EVERY = 0.5
"""Seconds between looks at the log's size."""

PRUNE_EVERY = 300.0
"""Seconds between walks over the grants, give or take a fifth, so that nodes do not walk in step."""

PRUNE_LEASE = 600_000
"""Milliseconds for which the node that walked last goes on to be the one that walks: twice the time between walks."""

CONNECTIONS = 2
"""To a database that is shared: two batches under way keep its disk and this process busy at the same time."""

RESERVED_DESCRIPTORS = 96
"""Files, sockets and pipes that are not a client's connection: the database's, the admin listener's, and new ones that
are turned away."""

ADMIN_CONNECTIONS = 32
"""To the admin listener: a collector of metrics and a few probes."""

GC_THRESHOLD = 20_000
"""Objects between two collections of the young ones; a request leaves no cycles behind."""

UNAVAILABLE = "unavailable"
"""What is logged of an answer with 503, and of background work that met the same trouble."""

log = logging.getLogger("hourpass")


class _Running:
    """Everything that lives as long as the application is started."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Callable[[], int],
        limited: LimitedLog | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._limited = limited or LimitedLog(log, time.monotonic)
        window, shared = settings.policy().retry_window, settings.shares_database
        self.time = Timekeeper(clock, window, self._limited, shared=shared)
        self._node = os.urandom(8).hex()
        self._lock: FileLock | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def app(self) -> App:
        return App(self._settings, self.time, self.start, self.stop, self.report)

    async def start(self, app: App) -> Issuer:
        settings = self._settings
        make_data_folder(settings)
        if not settings.shares_database:
            self._lock = FileLock(Path(settings.data) / "serve.lock")
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise ConfigurationError(f"another hourpass server runs on the data folder {settings.data}") from None
        store = open_store(settings)
        self._stores = [store]
        try:
            if settings.shares_database:
                self._stores += [open_store(settings) for _ in range(CONNECTIONS - 1)]
            self.database = store.name
            self.time.begin(store)
            now = self._clock()
            master, secrets = open_secrets(store, settings, self._environ, now, serving=True)
            self.made = master.made
            for caution in store.cautions():
                log.warning("the database is not supported", extra={"detail": caution})
            if newer := store.newer_migrations():
                log.info("the database is newer than this program", extra={"migrations": newer})
            store.begin_reading()
            signing_keys = SigningKeys(store.signing_keys(), master, settings.policy())
            numbered_since = cast("SharedStore", store).numbered_since() if settings.shares_database else None
            store.commit()
            self._ledger = Ledger(
                store,
                settings.policy(),
                remote=settings.shares_database,
                others=self._stores[1:],
                stalls=self.time.stalls,
                absences=self.time.absences,
            )
            verification = Verification(
                settings, self._ledger, signing_keys, master, now, time=self.time, numbered_since=numbered_since
            )
            await verification.observe(now)
            self._issuer = Issuer(settings, self._ledger, secrets, verification, app.counts, self.time.timer)
        except BaseException:
            self._let_go()
            raise
        self._tasks = [
            asyncio.create_task(self.time.beat()),
            asyncio.create_task(self._repeat(self._observe, OBSERVE_EVERY)),
            asyncio.create_task(self._repeat(self._prune, PRUNE_EVERY)),
        ]
        if not settings.shares_database:  # a database server looks after itself
            self._tasks.append(asyncio.create_task(self._repeat(self._maintain, MAINTAIN_EVERY)))
        return self._issuer

    async def stop(self, app: App) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ledger.close()
        self._let_go()

    def _let_go(self) -> None:
        for store in self._stores:
            store.close()
        if self._lock is not None:
            self._lock.release()

    async def _repeat(self, work: Callable[[], Awaitable[None]], every: float) -> None:
        name = getattr(work, "__name__", "").lstrip("_")
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - background work is done again, whatever failed
                self._report_work(name, as_trouble(error))
            self._limited.look()

    def _report_work(self, name: str, error: Exception) -> None:
        match error:
            case Unavailable():
                self._limited.trouble(UNAVAILABLE, work=name, detail=error.detail)
            case HourpassError():
                self._limited.trouble("background work failed", name, detail=error.detail)
            case _:
                self._limited.trouble("background work failed", level=logging.ERROR, error=error, work=name)

    def report(self, app: App, path: str, error: Exception) -> None:
        """Log what is ours to mend. Refusals are the callers' business and only counted."""
        if isinstance(error, Unavailable):
            app.counts["unavailable"] += 1
            self._limited.trouble(UNAVAILABLE, path=path, detail=error.detail)
        elif not isinstance(error, Refused):
            app.counts["failure"] += 1
            self._limited.trouble("failed", level=logging.ERROR, error=error, path=path)

    async def _observe(self) -> None:
        await self._issuer.verification.observe(self._clock())
        await self.time.keep(self._ledger)
        if self._limited.is_under_way(UNAVAILABLE):
            await self._ledger.require_writable()  # reading goes on where nothing can be kept
            self._limited.over(UNAVAILABLE, "storage recovered")

    async def _maintain(self) -> None:
        await asyncio.to_thread(self._stores[0].maintain)

    async def _prune(self) -> None:
        if not await self._leads("prune", PRUNE_LEASE):
            self._issuer.forget_expired(self._clock())
            return
        after = await self._issuer.prune(GrantRef("", b""), self._clock())
        while after is not None:
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - jitter, not a secret
            after = await self._issuer.prune(after, self._clock())

    async def _leads(self, work: str, lease: int) -> bool:
        """Whether this node does what only one has to do; `lease` is in milliseconds."""
        if not self._settings.shares_database:
            return True
        now = self._clock()

        def take(store: Store) -> bool:
            return cast("SharedStore", store).take_lease(work, self._node, now, now + lease)

        return await self._ledger.run(take)


def create_app(
    settings: Settings | None = None,
    *,
    clock: Callable[[], int] | None = None,
    environ: Mapping[str, str] | None = None,
) -> App:
    """The ASGI application, to serve or to mount in another one.

    Without settings they are read from the environment and the configuration file. Nothing is opened before the
    lifespan starts, or before the first request where a mounted application gets no lifespan. A clock of your own is
    believed as it is; without one it is the machine's, set by the database's.

    Raises:
        ConfigurationError: where a setting is wrong.
    """
    environ = os.environ if environ is None else environ
    if settings is None:
        settings, _ = load({}, environ, default_data(environ))
    require_issuer(settings)
    return _Running(settings, environ, NodeClock(wall_clock) if clock is None else clock).app()


class AdminApp:
    """Health and metrics, for the admin listener."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an application of ASGI."""
        await respond(self, scope, receive, send)

    def body_limit(self, path: str) -> int:
        """Nothing here has a body."""
        return 0

    def answer_at_once(self, request: Request) -> None:
        """Nothing here is asked for often."""

    async def answer(self, request: Request) -> Reply:
        """Metrics here; everything under /health/ is the public application's."""
        if request.path == "/metrics":
            gauges = {
                "revocations_in_force": len(self._app.issuer.verification.revocations),
                "clock_offset_seconds": self._app.time.offset / SECOND,
            }
            self._app.counts["stalls"] = self._app.time.stalled
            body = render_metrics(self._app.counts, gauges)
            return Reply(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], body)
        if not request.path.startswith("/health/"):
            request.path = "/admin"
        return await self._app.answer(request)


# Serving.


def serve(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    wrap: Callable[[App], Application] = lambda app: app,
    ready: Callable[[Settings], None] = lambda settings: None,
    wall: Callable[[], int] = wall_clock,
) -> None:
    """Serve until TERM, INT or HUP, then drain; with more than one worker, in as many processes.

    `wrap` may put another application around ours; `ready` is told when it listens. `wall` is the machine's clock, in
    epoch milliseconds.

    Raises:
        ConfigurationError: where it cannot start.
    """
    limited = _start_logging(settings, environ)
    require_issuer(settings)
    shared = inherited(environ, os.getpid())
    own = [] if shared else [_listen(settings.host, settings.port, shared=settings.workers > 1)]
    if own:
        settings = dataclasses.replace(settings, port=own[0].getsockname()[1])
    if settings.unix_socket != "off":
        shared.append(_listening(settings.unix_socket, lambda: bind_unix(settings.unix_socket)))
    settings = _within_descriptors(settings)

    def work(
        settings: Settings,
        ready: Callable[[], None],
        limited: LimitedLog,
        listeners: list[socket.socket],
        parent: int | None = None,
    ) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listeners, environ, wrap, ready, limited, parent, wall))

    def be_worker(worker: Worker, listens: Callable[[], None]) -> None:
        listeners = [*shared, *(_listen(settings.host, settings.port, shared=True) for _ in own)]
        work(settings.of_worker(worker.number), listens, _start_logging(settings, environ), listeners, worker.parent)

    def begin() -> None:
        for note in notes(environ):
            log.warning("settings", extra={"note": note})
        ready(settings)

    try:
        if settings.shares_database:
            with _ended_by_term():
                wait_for_database(settings)
        if settings.workers == 1:
            work(settings, begin, limited, [*shared, *own])
        else:
            run_workers(settings.workers, be_worker, begin)
    finally:
        for listener in (*shared, *own):
            listener.close()
        if settings.unix_socket != "off":
            remove_unix(settings.unix_socket)


@contextlib.contextmanager
def _ended_by_term() -> Iterator[None]:
    """While nothing is served yet, TERM ends the process at once."""

    def end(number: int, frame: object) -> None:
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_logging(settings: Settings, environ: Mapping[str, str]) -> LimitedLog:
    """Of this process alone: what was counted before it was forked is the parent's to tell."""
    limited = LimitedLog(log, time.monotonic)
    configure_logging(settings.log_format, colours=not environ.get("NO_COLOR"), limited=limited)
    log_what_is_printed()
    return limited


async def _serve(
    settings: Settings,
    listeners: list[socket.socket],
    environ: Mapping[str, str],
    wrap: Callable[[App], Application],
    ready: Callable[[], None],
    limited: LimitedLog,
    parent: int | None,
    wall: Callable[[], int],
) -> None:
    running = _Running(settings, environ, NodeClock(wall), limited)
    app = running.app()
    refused = Refusals(app.counts, limited)
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, told_to_stop.set)
    if parent is not None:
        loop.add_reader(parent, told_to_stop.set)
    try:
        await app.start()
        admin = "off"
        fronts = [_front(wrap(app), listeners, settings, refused)]
        if settings.admin_listen != "off":
            host, _, port = settings.admin_listen.rpartition(":")
            admin_listener = _listen(host.strip("[]"), int(port))
            admin = f"{host}:{admin_listener.getsockname()[1]}"
            few = dataclasses.replace(settings, max_connections=ADMIN_CONNECTIONS)
            fronts.append(_front(AdminApp(app), [admin_listener], few, refused))
        for front in fronts:
            await front.start()
        # What is loaded stays loaded: the collector need not walk it again and again while requests make their garbage.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        facts = {
            "host": settings.host,
            "port": settings.port,
            "admin": admin,
            "issuer": app.issuer.url,
            "database": running.database,
            "version": __version__,
        }
        log.info("listening", extra=facts)
        if running.made:
            log.info("master key made", extra={"file": str(running.made), "advice": BACK_IT_UP})
        ready()
        await told_to_stop.wait()
        app.draining = True
        app.issuer.verification.feed.close()
        log.info("draining")
        await asyncio.gather(*(front.drain() for front in fronts))
    finally:
        await app.stop()
    log.info("stopped")


def _front(app: Application, listeners: list[socket.socket], settings: Settings, refused: Refusals) -> Front:
    return Front(
        app,
        listeners,
        clock=wall_clock,
        header_limit=settings.header_limit,
        request_timeout=settings.request_timeout,
        drain_timeout=settings.drain_timeout,
        max_connections=settings.max_connections,
        refused=refused,
    )


def _within_descriptors(settings: Settings) -> Settings:
    """With as many connections as the process may open descriptors for, less a reserve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVED_DESCRIPTORS
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.info("fewer connections than max_connections", extra={"descriptors": soft})
    return dataclasses.replace(settings, max_connections=max(1, min(needed, soft) - RESERVED_DESCRIPTORS))


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    return _listening(f"{host}:{port}", lambda: bind(host, port, shared=shared))


def _listening(where: str, bind: Callable[[], socket.socket]) -> socket.socket:
    try:
        return bind()
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from error
