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

import uvloop

from hourpass import __version__
from hourpass.clocks import wall_clock
from hourpass.core.errors import ConfigurationError
from hourpass.server.clock.clocks import NodeClock
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.endpoints.app import App
from hourpass.server.keys.master_key import BACK_IT_UP
from hourpass.server.run.open import (
    default_data,
    wait_for_database,
)
from hourpass.server.run.running import Running
from hourpass.server.settings.settings import Settings, load, notes, require_issuer
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.refusals import Refusals
from hourpass.server.telemetry.tally import Tally
from hourpass.server.telemetry.telemetry import configure_logging, log_what_is_printed
from hourpass.server.tracing import Traced, start_tracing
from hourpass.server.transport.listener import Front, bind, bind_unix, inherited, remove_unix
from hourpass.server.transport.request import Application
from hourpass.server.transport.workers import Worker, ending_signals, run_workers

RESERVED_DESCRIPTORS = 96
"""How many descriptors are kept for other things than clients' connections: the database, the admin listener, and new
connections that are refused."""

ADMIN_CONNECTIONS = 32
"""The most connections to the admin listener: a collector of metrics and a few probes."""

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
    clock, in epoch milliseconds.

    Raises:
        ConfigurationError: if the server cannot start.
    """
    limited = _start_logging(settings, environ)
    require_issuer(settings)
    shared = inherited(environ, os.getpid())
    own = [] if shared else [_listen(settings.host, settings.port, shared=settings.workers > 1)]
    if own:
        settings = dataclasses.replace(settings, port=own[0].getsockname()[1])
    if settings.unix_socket != "off":
        shared.append(_listening(settings.unix_socket, lambda: bind_unix(settings.unix_socket)))
    admin = _open_admin(settings)
    settings = _within_descriptors(settings)
    tally = Tally(settings.workers)

    def work(
        ready: Callable[[], None],
        limited: LimitedLog,
        listeners: list[socket.socket],
        worker: Worker | None = None,
    ) -> None:
        number, parent = worker or (0, None)
        running = Running(settings, environ, NodeClock(wall), limited, tally, number)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listeners, admin, environ, running, wrap, ready, limited, parent))

    def be_worker(worker: Worker, listens: Callable[[], None]) -> None:
        listeners = [*shared, *(_listen(settings.host, settings.port, shared=True) for _ in own)]
        work(listens, _start_logging(settings, environ), listeners, worker)

    def begin() -> None:
        for note in notes(settings, environ):
            log.warning("settings", extra={"note": note})
        ready(settings)

    try:
        if settings.shares_database:
            with _ended_by_term():
                wait_for_database(settings)
        if settings.workers == 1:
            work(begin, limited, [*shared, *own])
        else:
            run_workers(settings.workers, be_worker, begin, tally.ended)
    finally:
        for listener in (*shared, *own, *([admin] if admin else ())):
            listener.close()
        if settings.unix_socket != "off":
            remove_unix(settings.unix_socket)


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
    listeners: list[socket.socket],
    admin: socket.socket | None,
    environ: Mapping[str, str],
    running: Running,
    wrap: Callable[[App], Application],
    ready: Callable[[], None],
    limited: LimitedLog,
    parent: int | None,
) -> None:
    app = App(settings, running)
    refused = Refusals(app.counts, limited)
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, told_to_stop.set)
    if parent is not None:
        loop.add_reader(parent, told_to_stop.set)
    stop_tracing = start_tracing(environ) if settings.tracing == "otlp" else None
    try:
        await app.start()
        traced = wrap(app) if stop_tracing is None else Traced(wrap(app), app.route)
        public = _front(traced, listeners, settings, refused)
        fronts = [public]
        running.counts["connections_limit"] = settings.max_connections
        running.meter.values["connections_open"] = lambda: len(public.connections)
        if admin:
            few = dataclasses.replace(settings, max_connections=ADMIN_CONNECTIONS)
            # Each answer ends its connection, so that nobody keeps one to a worker that hangs.
            fronts.append(_front(AdminApp(app), [admin], few, refused, keep_alive=False))
        for front in fronts:
            await front.start()
        # Everything loaded by now stays loaded, so the garbage collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        facts = {
            "host": settings.host,
            "port": settings.port,
            "admin": _address(admin) if admin else "off",
            "issuer": app.issuer.url,
            "database": running.database,
            "version": __version__,
        }
        log.info("listening", extra=facts)
        if running.made:
            log.info("master key made", extra={"file": str(running.made), "advice": BACK_IT_UP})
        ready()
        await told_to_stop.wait()
        app.drain()
        log.info("draining")
        await asyncio.gather(*(front.drain() for front in fronts))
    finally:
        await app.stop()
        if stop_tracing is not None:
            stop_tracing()
    log.info("stopped")


def _open_admin(settings: Settings) -> socket.socket | None:
    """The admin listener. All workers share it, and any of them answers for all."""
    if settings.admin_listen == "off":
        return None
    host, _, port = settings.admin_listen.rpartition(":")
    return _listen(host.strip("[]"), int(port))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _front(
    app: Application, listeners: list[socket.socket], settings: Settings, refused: Refusals, *, keep_alive: bool = True
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


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    return _listening(f"{host}:{port}", lambda: bind(host, port, shared=shared))


def _listening(where: str, bind: Callable[[], socket.socket]) -> socket.socket:
    try:
        return bind()
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from error
