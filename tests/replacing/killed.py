"""Runs a command of `hourpass` again and again, and kills it with -9 before its first step, its second, and so on.

A step is a statement to the database, or what makes a file durable or gives it its name. After each kill the check must
succeed, and so must the command if it runs once more. At the end, prints how many steps there were.

    python -m tests.replacing.killed CHECK -- COMMAND
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable

import psycopg

from hourpass.cli import main
from hourpass.cli.operator import config, master_key
from hourpass.server.store.sqlite_connection import SqliteConnection

IMPORTED = config, master_key
"""The commands' modules: each of hundreds of processes has them from the first one."""


def die_before(number: int) -> None:
    """Let this process die before its step of that number."""
    steps = itertools.count()

    def step(*_: object) -> bool:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def traced(connect: Callable) -> Callable:
        def connected(self):
            db = connect(self)
            db.exec_trace = step
            return db

        return connected

    def stepped(act: Callable) -> Callable:
        def acting(*arguments, **more):
            step()
            return act(*arguments, **more)

        return acting

    SqliteConnection._connect = traced(SqliteConnection._connect)
    psycopg.Connection.execute = stepped(psycopg.Connection.execute)
    for name in ("fsync", "link", "rename", "replace", "unlink"):
        setattr(os, name, stepped(getattr(os, name)))


def run(arguments: list[str], dies_before: int | None = None) -> int:
    """The command in a process of its own, and its exit code; -9 if it was killed."""
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        if dies_before is not None:
            die_before(dies_before)
        os.dup2(2, 1)
        sys.argv = ["hourpass", *arguments]
        try:
            main()
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    split = sys.argv.index("--")
    check, command = sys.argv[1:split], sys.argv[split + 1 :]
    for number in itertools.count():
        code = run(command, number)
        if run(check) != 0:
            sys.exit(f"killed before step {number}, the check failed")
        if code == 0:
            print(number)
            break
        if code != -signal.SIGKILL:
            sys.exit(f"it was to die before step {number}, and ended with {code}")
        if run(command) != 0:
            sys.exit(f"killed before step {number}, it cannot be run again")
