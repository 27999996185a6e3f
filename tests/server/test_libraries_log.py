"""Trouble that libraries and Python report is logged as our own is: limited, and never straight to stderr."""

import io
import json
import logging
import subprocess
import sys

import pytest

from hourpass.server.telemetry.limited_log import EVERY, LimitedLog
from hourpass.server.telemetry.telemetry import LONGEST_TEXT, configure_logging, lines_dropped


class Log:
    """The process's log as text, on a clock that the test moves."""

    def __init__(self):
        self.now = 0.0
        self.stream = io.StringIO()
        self.limited = LimitedLog(logging.getLogger("hourpass"), lambda: self.now)
        configure_logging("json", self.stream, limited=self.limited)

    def lines(self):
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield Log()
    root.handlers[:], root.level = before


def a_library_complains(about):
    logging.getLogger("some.library").warning("no luck with %s", about)


def test_a_library_that_repeats_itself_has_a_line_a_minute_with_the_latest_words(log):
    for number in range(100):
        a_library_complains(number)
    log.now += EVERY
    log.limited.look()

    first, second = log.lines()
    assert (first["logger"], first["detail"], first["level"]) == ("some.library", "no luck with 0", "warning")
    assert (second["detail"], second["times"]) == ("no luck with 99", 99)


@pytest.mark.parametrize("broken", [False, True], ids=["a text", "a text that cannot be formatted"])
def test_a_long_text_is_cut(log, broken):
    """A library may repeat what a stranger sent, and a request's headers have 16 KB."""
    text = "x" * 8_000
    if broken:
        record = logging.LogRecord("some.library", logging.INFO, "", 0, f"%d{text}", ("no number",), None)
        logging.getLogger().handlers[0].handle(record)  # pytest has handlers, too, and does not forgive it
    else:
        a_library_complains(text)

    [line] = log.lines()
    cut = line["about"] if broken else line["detail"]
    assert (cut[-2:], len(cut)) == ("x…", LONGEST_TEXT + 1)


def test_words_that_differ_each_time_are_one_kind(log):
    for number in range(100):
        logging.getLogger("some.library").error(f"future <0x{number:x}>")  # noqa: G004 - as libraries do

    assert len(log.lines()) == 1


def test_a_line_that_reports_no_trouble_passes(log):
    for _ in range(2):
        logging.getLogger("some.library").info("hello")

    assert [line["event"] for line in log.lines()] == ["hello"] * 2


PRINTED = {
    "a warning": ("import warnings; warnings.warn('TROUBLE')", "a library reports"),
    "an exception in a thread": (
        "import threading; t = threading.Thread(target=lambda: TROUBLE); t.start(); t.join()",
        "a library reports",
    ),
    "an exception in a finaliser": ("type('T', (), {'__del__': lambda self: TROUBLE})()", "a library reports"),
    "a record that cannot be formatted": ("log.info('%d TROUBLE', 'no number')", "a line could not be made"),
}


@pytest.mark.parametrize(("code", "event"), PRINTED.values(), ids=PRINTED.keys())
def test_a_text_that_python_would_print_is_a_line_of_the_log(code, event):
    program = f"""
import logging, time
from hourpass.server.telemetry.limited_log import LimitedLog
from hourpass.server.telemetry.telemetry import configure_logging, log_what_is_printed
log = logging.getLogger("hourpass")
configure_logging("json", limited=LimitedLog(log, time.monotonic))
log_what_is_printed()
{code}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["event"] == event
    assert "TROUBLE" in line


def test_without_lines_none_was_dropped(log):
    logging.getLogger("hourpass").info("hello")

    assert lines_dropped() == 0
