"""Lines leave in a thread of their own. Nobody waits for the stream, and lines that it does not take are counted."""

import io
import os
import select
import signal
import time
from pathlib import Path

import pytest

from hourpass.server.telemetry.line_writer import LINES, LineWriter


class Pipe:
    """A pipe whose reader reads when the test says so, and a writer on it."""

    def __init__(self):
        self.reader, descriptor = os.pipe()
        self.stream = os.fdopen(descriptor, "w")
        self.writer = LineWriter(self.stream, lambda lost: f"lost {lost}")

    def fill(self):
        """Until it takes no more."""
        descriptor = self.stream.fileno()
        os.set_blocking(descriptor, False)
        try:
            while True:
                os.write(descriptor, b"-" * 4_095 + b"\n")
        except BlockingIOError:
            os.set_blocking(descriptor, True)

    def read_until(self, wanted: str) -> list[str]:
        """Everything up to this line and a little more, without the bytes with which the test filled the pipe."""
        read = b""
        deadline = time.monotonic() + 20
        while f"\n{wanted}\n" not in f"\n{read.decode()}":
            assert select.select([self.reader], (), (), deadline - time.monotonic())[0], read[-200:]
            read += os.read(self.reader, 65_536)
        return [line for line in read.decode().splitlines() if not line.startswith("-")]


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)  # nobody gets the lines that the thread still holds
    pipe.writer.flush()
    pipe.stream.close()


def test_lines_leave_in_their_order(pipe):
    for number in range(100):
        pipe.writer.write(str(number))

    assert pipe.read_until("99") == [str(number) for number in range(100)]
    assert pipe.writer.dropped == 0


def test_nobody_waits_for_a_pipe_that_nobody_reads_and_every_line_arrives_or_is_counted(pipe):
    pipe.fill()

    written = [str(number) for number in range(3 * LINES)]
    for line in written:
        pipe.writer.write(line)
    dropped = pipe.writer.dropped
    lines = pipe.read_until(f"lost {dropped}")
    pipe.writer.write("afterwards")
    lines += pipe.read_until("afterwards")

    kept = [line for line in lines if line.isdigit()]
    assert kept == written[: len(kept)]
    assert LINES <= len(kept) <= LINES + 1  # one may be in the thread's hand
    assert len(kept) + dropped == len(written)
    assert len(lines) == len(kept) + 2


def test_waiting_for_the_last_lines_is_bounded(pipe):
    pipe.fill()
    pipe.writer.write("stuck")

    began = time.monotonic()
    pipe.writer.flush(0.05)

    assert time.monotonic() - began < 10


def test_flushing_waits_until_all_lines_have_left(pipe):
    for number in range(100):
        pipe.writer.write(str(number))
    pipe.writer.flush(20)

    assert len(os.read(pipe.reader, 65_536).splitlines()) == 100


def test_a_reader_who_has_left_costs_lines_and_nothing_else():
    reader, descriptor = os.pipe()
    os.close(reader)
    with os.fdopen(descriptor, "w") as stream:
        writer = LineWriter(stream)
        for _ in range(3):
            writer.write("nobody reads this")
        writer.flush(20)

        assert writer.dropped == 3


def test_a_disk_that_is_full_costs_lines_until_it_has_room():
    with Path("/dev/full").open("w") as full, Path("/dev/null").open("w") as empty:
        writer = LineWriter(full)
        writer.write("lost")
        writer.flush(20)
        os.dup2(empty.fileno(), full.fileno())
        writer.write("kept")
        writer.flush(20)

    assert writer.dropped == 1


def test_a_descriptor_that_does_not_block_is_waited_for(pipe):
    pipe.fill()
    os.set_blocking(pipe.stream.fileno(), False)

    pipe.writer.write("x" * 200_000)

    assert pipe.read_until("x" * 200_000) == ["x" * 200_000]
    assert pipe.writer.dropped == 0


def test_a_forked_process_writes_its_own_lines_and_none_of_its_parents(pipe):
    pipe.fill()
    for number in range(2 * LINES):
        pipe.writer.write(f"parent {number}")

    if (child := os.fork()) == 0:
        before = pipe.writer.dropped
        pipe.writer.write("child")
        pipe.writer.flush(20)
        os._exit(before)
    lines = pipe.read_until(f"lost {pipe.writer.dropped}")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    pipe.writer.write("afterwards")
    lines += pipe.read_until("afterwards")

    assert code == 0
    assert lines.count("child") == 1
    assert lines.count("parent 0") == 1


def test_the_thread_takes_no_signals(pipe):
    pipe.writer.write("started")
    pipe.read_until("started")

    status = Path(f"/proc/self/task/{pipe.writer._thread.native_id}/status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    assert blocked & 1 << (signal.SIGTERM - 1)


def test_memory_is_written_at_once():
    stream = io.StringIO()

    LineWriter(stream).write("a line")

    assert stream.getvalue() == "a line\n"
