"""Being the first process of a container: hands signals on, and reaps the orphans that become its children.

A program that does neither leaves zombies, and outlives `docker stop` until it is killed. Owns signals and exit codes
of a supervised child as well, because both need the same.
"""

import os
import signal
import sys
from contextlib import suppress

if not hasattr(signal, "pthread_sigmask"):
    raise ImportError("this command needs Linux, macOS or another POSIX system")

FORWARDED = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}

BY_SIGNAL = 128
"""Added to a signal's number, the exit code of what it ended (POSIX, Shell Command Language §2.8.2)."""

_INIT = 1
_WATCHED = {*FORWARDED, signal.SIGCHLD}


def go_on_in_child() -> None:
    """If this is a container's first process, go on in a child of it. Call it before there is a thread.

    The first process hands signals to the child, reaps whatever ends (wait(2)), and ends as the child does.
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
    """The next of the blocked signals, and whether the kernel sent it for a terminal rather than a process."""
    if sys.platform == "darwin":
        return signal.sigwait(_WATCHED), False
    information = signal.sigwaitinfo(_WATCHED)
    return information.si_signo, information.si_code > 0


def exit_code_of(status: int) -> int:
    """The exit code that says how a child ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else BY_SIGNAL - code


def _next_ended() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0
