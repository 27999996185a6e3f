"""An import into PostgreSQL beside running servers: killed and resumed, and two imports of the same file at once."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import HOURPASS, clean_environment
from tests.e2e.conftest import exchange
from tests.e2e.test_import import CHANCE, WITHIN, interrupt, keys_file

ROWS = 10_000


def command_of(nodes, *arguments: str) -> list:
    return [HOURPASS, *arguments, "--data", str(nodes._data), "--database", nodes._url]


def test_an_import_that_is_killed_again_and_again_ends_with_each_key_once_on_every_node(nodes, own_database, tmp_path):
    both = nodes.start(), nodes.start()
    keys = keys_file(tmp_path / "keys.csv", ROWS)
    file = str(tmp_path / "keys.csv")
    environment = clean_environment(**nodes.environment)

    interrupt(command_of(nodes, "keys", "import", file), environment)
    counts = json.loads(nodes.command("keys", "import", file, "--json"))
    ended = time.monotonic()
    while {exchange(node, keys[-1]).status_code for node in both} != {200}:
        assert time.monotonic() - ended < WITHIN

    assert sum(counts.values()) == counts["created"] + counts["unchanged"] == ROWS
    assert own_database.run("select count(*), count(distinct subject) from api_keys") == [(ROWS, ROWS)]
    assert own_database.run("select count(*), count(distinct key_id) from key_secrets") == [(ROWS, ROWS)]
    assert {exchange(both[0], key).status_code for key in CHANCE.sample(keys, 20)} == {200}


def test_two_imports_of_one_file_at_once_make_each_key_once(nodes, own_database, tmp_path):
    nodes.start()
    keys_file(tmp_path / "keys.csv", 3_000)
    command = command_of(nodes, "keys", "import", str(tmp_path / "keys.csv"), "--json")
    environment = clean_environment(**nodes.environment)

    def load(_):
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(load, range(2))

    assert one["created"] + other["created"] == one["unchanged"] + other["unchanged"] == 3_000
    assert own_database.run("select count(*) from key_secrets") == [(3_000,)]
