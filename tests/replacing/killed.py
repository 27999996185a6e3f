"""Runs a command of `hourpass` again and again, and kills it with -9 before its first step, its second, and so on.

A step is a statement that begins, writes or commits, or what makes a file durable or gives it its name. After each kill
the check must succeed, and so must the command if it runs once more. At the end, prints how many steps there were.

Before each attempt the server's secrets become a minute older, so that none waits. Of two master keys in the
environment, each attempt goes over to the other one.

    python -m tests.replacing.killed CHECK -- COMMAND
"""

import itertools
import os
import re
import signal
import sys
from collections.abc import Callable

import psycopg

from hourpass.cli import main
from hourpass.cli.operator import config, master_key, secrets
from hourpass.core.policy import MINUTE
from hourpass.server.run.open import open_store
from hourpass.server.settings.loading import load
from hourpass.server.store import transaction
from hourpass.server.store.sqlite_connection import SqliteConnection

IMPORTED = config, master_key, secrets
"""The commands' modules: each of hundreds of processes has them from the first one."""

KEYS = "HOURPASS_MASTER_KEY"
WRITES = re.compile(r"begin|commit|insert|update|delete|alter|create")


def die_before(number: int) -> None:
    """Let this process die before its step of that number."""
    steps = itertools.count()

    def step(*_: object) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(sql: str) -> None:
        if WRITES.match(sql):
            step()

    def traced(connect: Callable) -> Callable:
        def connected(self):
            db = connect(self)
            db.exec_trace = lambda cursor, sql, values: statement(sql) is None
            return db

        return connected

    def executed(execute: Callable) -> Callable:
        def executing(self, sql, *arguments, **more):
            statement(sql)
            return execute(self, sql, *arguments, **more)

        return executing

    def stepped(act: Callable) -> Callable:
        def acting(*arguments, **more):
            step()
            return act(*arguments, **more)

        return acting

    SqliteConnection._connect = traced(SqliteConnection._connect)
    psycopg.Connection.execute = executed(psycopg.Connection.execute)
    for name in ("fsync", "link", "rename", "replace", "unlink"):
        setattr(os, name, stepped(getattr(os, name)))


def a_minute_older() -> None:
    """As if a minute had passed since the last change: commands read the machine's clock."""
    store = open_store(load({}, os.environ, None)[0])
    with transaction(store):
        store._db.execute(f"update secrets set created_at = created_at - {MINUTE}")
        store._run("bump_control")
    store.close()


def apart(work: Callable[[], None]) -> int:
    """Do something in a process of its own. Its exit code, -9 if it was killed."""
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        os.dup2(2, 1)
        try:
            work()
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(arguments: list[str], dies_before: int | None = None) -> int:
    """A command, and its exit code."""

    def work() -> None:
        if dies_before is not None:
            die_before(dies_before)
        sys.argv = ["hourpass", *arguments]
        main()

    return apart(work)


if __name__ == "__main__":
    split = sys.argv.index("--")
    check, command = sys.argv[1:split], sys.argv[split + 1 :]
    for number in itertools.count():
        if KEYS in os.environ:
            os.environ[KEYS] = " ".join(reversed(os.environ[KEYS].split()))
        if command[0] == "secrets" and apart(a_minute_older) != 0:
            sys.exit("the secrets do not get older")
        code = run(command, number)
        if code == 0:
            print(number)
            break
        if code != -signal.SIGKILL:
            sys.exit(f"it was to die before step {number}, and ended with {code}")
        if run(check) != 0:
            sys.exit(f"killed before step {number}, the check failed")
        # What was committed before the kill is done: a new secret waits then, and a second one is refused.
        if run(command) not in ({0, 1} if command[0] == "secrets" else {0}):
            sys.exit(f"killed before step {number}, it cannot be run again")
