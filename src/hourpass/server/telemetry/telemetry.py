"""The log. Nothing here runs for a request that succeeds.

Secrets are hidden by type: a type that holds one does not show it in its repr. As a second fence, everything that looks
like a key or a token is removed from every line before it is written.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from hourpass.core.key_shape import BEGINNING
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.line_writer import LineWriter

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SECRET = re.compile(BEGINNING + r"[0-9A-Za-z]{12}_[0-9A-Za-z]+|eyJ[0-9A-Za-z_-]{10,}(?:\.[0-9A-Za-z_-]*)*")


LONGEST_TEXT = 500
"""Characters of a library's text in one line. It may hold anything that a client sent."""


class _Handler(logging.Handler):
    """Hands finished lines to a writer. Warnings and errors of libraries go through `limited` first, if it is given."""

    def __init__(self, stream: TextIO, limited: LimitedLog | None) -> None:
        super().__init__()
        self.writer = LineWriter(stream, self._notice)
        self._limited = limited

    def filter(self, record: logging.LogRecord) -> bool:
        """Let our own lines pass. Each of our calls that can be repeated is limited already."""
        if self._limited is None or record.levelno < logging.WARNING or record.name == "hourpass":
            return True
        error = record.exc_info[1] if record.exc_info else None
        # The kind is the place that logs, not the text, because a text may hold anything.
        kind = "" if error else f"{record.filename}:{record.lineno}"
        said, level = _said(record), record.levelno
        self._limited.trouble("a library reports", kind, level=level, error=error, logger=record.name, detail=said)
        return False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - no record of a library is worth a crash
            line = self._line(
                "a line could not be made",
                logger=record.name,
                about=_short(str(record.msg)),
                detail=_short(repr(error)),
            )
        self.writer.write(line)

    def flush(self) -> None:
        """Wait for the last lines, for a second at most. `logging.shutdown` calls it at exit."""
        self.writer.flush()

    def _notice(self, dropped: int) -> str:
        return self._line("log lines were dropped", lines=dropped)

    def _line(self, event: str, **members: object) -> str:
        facts = {"name": "hourpass", "msg": event, "levelno": logging.WARNING, "levelname": "WARNING"}
        return self.format(logging.makeLogRecord({**facts, **members}))


def _said(record: logging.LogRecord) -> str:
    try:
        return _short(record.getMessage())
    except Exception as error:  # noqa: BLE001 - as in `emit`
        return _short(repr(error))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def configure_logging(
    log_format: str, stream: TextIO | None = None, *, colours: bool = True, limited: LimitedLog | None = None
) -> None:
    """Set up every logger of the process: one line for each event, to stderr by default, JSON unless on a terminal."""
    stream = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and stream.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours and stream.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    handler = _Handler(stream, limited)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def log_what_is_printed() -> None:
    """Log what Python itself would print to stderr: warnings, and exceptions that nobody catches."""
    log = logging.getLogger("python")

    def of_a_thread(lost: threading.ExceptHookArgs) -> None:
        log.error("a thread failed", exc_info=lost.exc_value)

    def of_nobody(lost: "UnraisableHookArgs") -> None:
        log.error("an exception was lost", exc_info=lost.exc_value)

    logging.captureWarnings(capture=True)
    threading.excepthook = of_a_thread
    sys.unraisablehook = of_nobody


def lines_dropped() -> int:
    """How many lines of the log this process could not write."""
    return sum(handler.writer.dropped for handler in logging.getLogger().handlers if isinstance(handler, _Handler))


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: _SECRET.sub("[redacted]", value if isinstance(value, str) else repr(value))
        if not isinstance(value, int | float | bool | None)
        else value
        for name, value in event.items()
    }
