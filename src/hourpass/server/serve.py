"""Serves the application: opens listeners, handles signals and starts workers.

The admin listener (health and metrics) runs in the same event loop, on another port than the public one.
"""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import uvloop

from hourpass import __version__
from hourpass.clocks import boot_clock, wall_clock
from hourpass.server.clock.clocks import NodeClock
from hourpass.server.endpoints.admin_listener import CONNECTIONS, AdminApp
from hourpass.server.endpoints.app import App
from hourpass.server.keys.master_key import BACK_IT_UP
from hourpass.server.run.background import UNAVAILABLE
from hourpass.server.run.open import default_data, wait_for_database, with_master_key
from hourpass.server.run.running import Running
from hourpass.server.settings.agreement import require_issuer
from hourpass.server.settings.loading import load, notes
from hourpass.server.settings.settings import Settings
from hourpass.server.sockets import Sockets, address_of, open_sockets, passed_sockets, sockets_of_worker
from hourpass.server.supervision import Condition, Supervision
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.refusals import Refusals
from hourpass.server.telemetry.tally import Tally
from hourpass.server.telemetry.telemetry import configure_logging, log_what_is_printed
from hourpass.server.tracing import Traced, start_tracing
from hourpass.server.transport.listener import Front
from hourpass.server.transport.message import refusal
from hourpass.server.transport.request import Application, Reply
from hourpass.server.transport.workers import Worker, ending_signals, run_workers

RESERVED_DESCRIPTORS = 96
"""How many descriptors are kept for other things than clients' connections: the database, the admin listener, and new
connections that are refused."""

GC_THRESHOLD = 20_000
"""New objects between two collections of the young ones. It can be high, because a request leaves no cycles behind."""

log = logging.getLogger("hourpass")


def create_app(
    settings: Settings | None = None,
    *,
    clock: Callable[[], int] | None = None,
    environ: Mapping[str, str] | None = None,
) -> App:
    """The ASGI application, to serve or to mount in another one.

    If you pass no settings, they are read from the environment and the configuration file. Nothing is opened before the
    lifespan starts, or before the first request if a mounted application gets no lifespan. `clock` returns epoch
    milliseconds and is trusted. If you pass none, the machine's clock is used and compared with the database's.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    environ = os.environ if environ is None else environ
    if settings is None:
        settings, _ = load({}, environ, default_data(environ))
    require_issuer(settings)
    return App(settings, Running(settings, environ, NodeClock(wall_clock) if clock is None else clock))


def serve(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    wrap: Callable[[App], Application] = lambda app: app,
    ready: Callable[[Settings], None] = lambda settings: None,
    wall: Callable[[], int] = wall_clock,
) -> None:
    """Serve until TERM, INT or HUP, then drain. Each worker is a process if there is more than one.

    `wrap` may put another application around ours. `ready` is called when the server listens. `wall` is the machine's
    clock, in epoch milliseconds. If a service manager waits for it, it is told what it needs to know.

    Raises:
        ConfigurationError: if the server cannot start.
    """
    limited = _start_logging(settings, environ)
    supervision = Supervision(environ, os.getpid())
    passed = passed_sockets(environ, os.getpid())
    if passed.public:
        settings = dataclasses.replace(settings, listen=tuple(map(address_of, passed.public)))
    require_issuer(settings)
    # Requests may wait in a socket that systemd opened, while nobody accepts them.
    waiting_since = boot_clock() if passed.public else None
    if settings.shares_database:
        supervision.tell(Condition.WAITING)
        with _ended_by_term():
            wait_for_database(settings)
    with _ended_by_term():
        # Here, and not in each worker: they get the key by the fork.
        settings = with_master_key(settings, environ)
    tally = Tally(settings.workers)

    def work(sockets: Sockets, limited: LimitedLog, post: _Post, number: int = 0) -> None:
        running = Running(settings, environ, NodeClock(wall), limited, tally, number, waiting_since)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, sockets, environ, running, wrap, limited, post))

    def be_worker(worker: Worker, say: Callable[[bool], None]) -> None:
        post = _Post(lambda: say(True), lambda now: say(now is not Condition.TROUBLE), supervision.every, worker.parent)
        limited = _start_logging(settings, environ)
        work(sockets_of_worker(settings, sockets, passed), limited, post, worker.number)

    def begin() -> None:
        nonlocal waiting_since
        waiting_since = None  # a worker that is started again is not late
        for note in notes(settings, environ):
            log.warning("settings", extra={"note": note})
        ready(settings)
        tell(Condition.LISTENING)

    def tell(condition: Condition) -> None:
        supervision.tell(condition, f"on {' '.join(settings.listen)}" if condition is Condition.LISTENING else "")

    def tell_troubled(workers: int) -> None:
        if workers:
            supervision.tell(Condition.TROUBLE, f"({workers} of {settings.workers} workers)")
        else:
            tell(Condition.LISTENING)

    with open_sockets(settings, passed) as sockets:
        admin = address_of(sockets.admin) if sockets.admin else "off"
        public = tuple(map(address_of, sockets.public))
        settings = _within_descriptors(dataclasses.replace(settings, listen=public, admin_listen=admin))
        if settings.workers == 1:
            work(sockets, limited, _Post(begin, tell, supervision.every, None))
        else:
            run_workers(
                settings.workers,
                be_worker,
                begin,
                ended=tally.ended,
                watch=tell_troubled,
                stopping=lambda: tell(Condition.DRAINING),
                patience=supervision.patience,
            )


class _Post(NamedTuple):
    """To whom a process reports: the service manager, or the parent of a worker.

    `ready` is called when it listens, and `tell` every so many seconds. `parent` is a worker's descriptor.
    """

    ready: Callable[[], None]
    tell: Callable[[Condition], None]
    every: float
    parent: int | None


@contextlib.contextmanager
def _ended_by_term() -> Iterator[None]:
    """End the process at once on TERM, while nothing is served yet."""

    def end(number: int, frame: object) -> None:
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_logging(settings: Settings, environ: Mapping[str, str]) -> LimitedLog:
    """Begin the log of this process alone. After a fork, the parent reports what was counted before."""
    limited = LimitedLog(log, time.monotonic)
    configure_logging(settings.log_format, colours=not environ.get("NO_COLOR"), limited=limited)
    log_what_is_printed()
    return limited


async def _serve(
    settings: Settings,
    sockets: Sockets,
    environ: Mapping[str, str],
    running: Running,
    wrap: Callable[[App], Application],
    limited: LimitedLog,
    post: _Post,
) -> None:
    app = App(settings, running)
    refused = Refusals(app.counts, limited)
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, told_to_stop.set)
    if post.parent is not None:
        loop.add_reader(post.parent, told_to_stop.set)
    stop_tracing = start_tracing(environ) if settings.tracing == "otlp" else None
    admin: AdminApp | None = None
    try:
        await app.start()
        traced = wrap(app) if stop_tracing is None else Traced(wrap(app), app.route)
        public = _front(traced, sockets.public, settings, running, refused)
        fronts = [public]
        running.counts["connections_limit"] = settings.max_connections
        running.meter.values["connections_open"] = lambda: len(public.connections)
        admin = AdminApp(app, settings.admin_listen) if sockets.admin else None
        if sockets.admin and admin:
            few = dataclasses.replace(settings, max_connections=CONNECTIONS)
            # Each answer ends its connection: nobody keeps one to a worker that hangs, or the places of the probes.
            one = _front(admin, [sockets.admin], few, running, refused, keep_alive=False, refusal=admin.refusal)
            fronts.append(one)
        for front in fronts:
            await front.start()
        # Everything loaded by now stays loaded, so the garbage collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        facts = {
            "listen": " ".join(settings.listen),
            "admin": settings.admin_listen,
            "issuer": app.issuer.url,
            "database": running.database,
            "version": __version__,
        }
        log.info("listening", extra=facts)
        if running.made:
            log.info("master key made", extra={"file": str(running.made), "advice": BACK_IT_UP})
        post.ready()
        while not told_to_stop.is_set():
            post.tell(Condition.TROUBLE if limited.is_under_way(UNAVAILABLE) else Condition.LISTENING)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told_to_stop.wait(), post.every)
        app.drain()
        log.info("draining")
        post.tell(Condition.DRAINING)
        await asyncio.gather(*(front.drain() for front in fronts))
    finally:
        if admin is not None:
            await admin.close()
        await app.stop()
        if stop_tracing is not None:
            stop_tracing()
    log.info("stopped")


def _front(
    app: Application,
    listeners: list[socket.socket],
    settings: Settings,
    running: Running,
    refused: Refusals,
    *,
    keep_alive: bool = True,
    refusal: Callable[[int], Reply] = refusal,
) -> Front:
    return Front(
        app,
        listeners,
        clock=wall_clock,
        header_limit=settings.header_limit,
        request_timeout=settings.request_timeout,
        drain_timeout=settings.drain_timeout,
        max_connections=settings.max_connections,
        keep_alive=keep_alive,
        refused=refused,
        report=lambda error: running.report("", error),
        refusal=refusal,
    )


def _within_descriptors(settings: Settings) -> Settings:
    """The settings with no more connections than the process can open descriptors for, less a reserve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVED_DESCRIPTORS
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.info("fewer connections than max_connections", extra={"descriptors": soft})
    return dataclasses.replace(settings, max_connections=max(1, min(needed, soft) - RESERVED_DESCRIPTORS))
