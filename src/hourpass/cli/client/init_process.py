"""The first process of a container: forwards signals, and reaps the orphans that become its children.

A program that does neither leaves zombies, and ignores `docker stop` until it is killed. This module also owns the
signals and exit codes of a supervised child, because both jobs need the same code.
"""

import os
import signal
import sys
from contextlib import suppress

if not hasattr(signal, "pthread_sigmask"):
    raise ImportError("this command needs Linux, macOS or another POSIX system")

FORWARDED = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}

BY_SIGNAL = 128
"""Plus a signal's number: the exit code of a command that the signal ended (POSIX, Shell Command Language §2.8.2)."""

_INIT = 1
_WATCHED = {*FORWARDED, signal.SIGCHLD}


def go_on_in_child() -> None:
    """If this is a container's first process, go on in a child of it. Call it before you start a thread.

    The first process forwards signals to the child, reaps every process that ends (wait(2)), and ends with the child's
    exit code.
    """
    if os.getpid() != _INIT:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        return
    while True:
        number, is_typed = next_signal()
        if number != signal.SIGCHLD and not is_typed:
            with suppress(ProcessLookupError):
                os.kill(child, number)
        for ended, status in iter(_next_ended, (0, 0)):
            if ended == child:
                os._exit(exit_code_of(status))


def next_signal() -> tuple[int, bool]:
    """Wait for the next blocked signal. Returns its number, and whether it was typed on the terminal."""
    if sys.platform == "darwin":
        return signal.sigwait(_WATCHED), False
    information = signal.sigwaitinfo(_WATCHED)
    return information.si_signo, information.si_code > 0


def exit_code_of(status: int) -> int:
    """The exit code for a child's wait status."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else BY_SIGNAL - code


def _next_ended() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0
