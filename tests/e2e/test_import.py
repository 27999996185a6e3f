"""An import beside a running server, and one that is killed again and again."""

import json
import random
import subprocess
import sys
import time

import pytest
from tests.conftest import HOURPASS, clean_environment, run_command
from tests.e2e.conftest import exchange

WITHIN = 1.0
"""Seconds from the end of an import until a running server accepts its keys."""

ROWS = 10_000
MORE_MEMORY = 25 * 1024
"""KiB that an import of many rows may take beyond one of a few."""

RATE = 500
"""Rows in a second, at the least, on a machine that is busy with other tests: idle, it is ten times as many."""

MEASURED = """
import re
from hourpass.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""

CHANCE = random.Random(3)


def keys_file(path, rows: int) -> list[str]:
    keys = [f"sk_live_{CHANCE.getrandbits(128):032x}" for _ in range(rows)]
    lines = (f"{key},customer {n},account-{n},videos.read,{n}\n" for n, key in enumerate(keys))
    path.write_text("key,name,subject,scope,external_id\n" + "".join(lines))
    return keys


def test_a_running_server_accepts_an_imported_key_within_a_second(serve, tmp_path):
    server = serve(exchange_limit=0)
    first, second = keys_file(tmp_path / "keys.csv", 2)
    assert exchange(server, first).status_code == 400  # it knows that there is no such key

    run_command("keys", "import", str(tmp_path / "keys.csv"), "--data", str(server.data))
    ended = time.monotonic()
    while exchange(server, first).status_code != 200:
        assert time.monotonic() - ended < WITHIN

    assert exchange(server, second).status_code == 200
    assert not {first, second} & set(server.log.read_text().split('"'))


def interrupt(command: list, environment: dict[str, str], times: int = 5) -> None:
    """Start an import and kill it, at moments of no choosing."""
    for _ in range(times):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as importing:
            time.sleep(CHANCE.uniform(0.3, 1.5))
            importing.kill()


def test_an_import_that_is_killed_again_and_again_ends_with_each_key_once(serve, tmp_path):
    server = serve(exchange_limit=0)
    keys = keys_file(tmp_path / "keys.csv", ROWS)
    command = ["keys", "import", str(tmp_path / "keys.csv"), "--data", str(server.data)]

    interrupt([HOURPASS, *command], clean_environment())
    counts = json.loads(run_command(*command, "--json").stdout)

    listed = json.loads(server.command("keys", "list", "--json").stdout)
    assert sum(counts.values()) == counts["created"] + counts["unchanged"] == ROWS
    assert len({key["subject"] for key in listed}) == len(listed) == ROWS
    assert {exchange(server, key).status_code for key in CHANCE.sample(keys, 20)} == {200}


def memory_of_import(folder, rows: int) -> tuple[int, float]:
    """Peak memory in KiB, and rows in a second."""
    keys_file(folder / f"{rows}.csv", rows)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "keys", "import", folder / f"{rows}.csv", "--data", folder / f"data-{rows}"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout), rows / (time.monotonic() - began)


@pytest.mark.slow
def test_the_memory_of_an_import_does_not_grow_with_the_file(tmp_path):
    few, _ = memory_of_import(tmp_path, 10)
    some, _ = memory_of_import(tmp_path, 2_000)
    many, rate = memory_of_import(tmp_path, 40_000)

    print(f"KiB: {few} for 10 rows, {some} for 2,000, {many} for 40,000, at {rate:.0f} rows a second")
    assert many < few + MORE_MEMORY
    assert rate > RATE
