"""`hourpass audit export`: the trail as JSON lines, in a new file for its owner alone."""

import json
import stat
import subprocess

import pytest
from tests.conftest import HOURPASS

from hourpass.core import key_events
from hourpass.core.actor import Actor


@pytest.fixture
def file(tmp_path):
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "trail.jsonl"


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_file_has_what_the_command_shows_and_is_for_its_owner_alone(hourpass, file):
    hourpass.create_key()

    said = hourpass("audit", "export", str(file), umask=0)

    assert lines_of(file.read_text()) == hourpass.json("audit")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["trail.jsonl"]
    assert "2 lines" in said.stderr
    assert said.stdout == ""


def test_it_goes_to_standard_output_as_well_and_the_same_options_choose(hourpass):
    made = [hourpass.create_key()["key_id"] for _ in range(2)]

    said = hourpass("audit", "export", "-", "--event", "key_created", "--key", made[1], "--actor", "cli:")

    assert [(line["event"], line["key_id"]) for line in lines_of(said.stdout)] == [("key.created", made[1])]


def test_a_file_that_is_there_stays_as_it_is(hourpass, file):
    file.write_text("precious")
    hourpass.create_key()

    said = hourpass("audit", "export", str(file), code=1)

    assert "never overwrites" in said.stderr
    assert file.read_text() == "precious"


def test_a_file_that_cannot_be_finished_is_not_there(hourpass, file):
    _fill(hourpass, 3_000)

    limited = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", HOURPASS, "audit", "export", str(file)]
    said = subprocess.run(limited, env=hourpass.environment, capture_output=True, text=True)

    assert (said.returncode, said.stderr.strip()) == (1, f"hourpass: cannot make {file}: File too large")
    assert list(file.parent.iterdir()) == []


def test_a_long_trail_is_complete_and_in_its_order(hourpass, file):
    _fill(hourpass, 3_000)

    hourpass("audit", "export", str(file))

    assert [line["number"] for line in lines_of(file.read_text())] == list(range(1, 3_003))


def _fill(hourpass, count: int) -> None:
    hourpass.create_key()

    async def fill(server):
        events = [key_events.KeyDisabled("0aZkey000001", Actor("cli:ada@desk"))] * count
        await server.app.issuer.ledger.run(lambda store: store.append_audit(server.clock(), events))

    hourpass.with_server(fill)


def test_options_before_its_name_are_refused(hourpass, file):
    """Otherwise they would be read and mean nothing."""
    said = hourpass("audit", "--event", "key.created", "export", str(file), code=2)

    assert "after export" in said.stderr
    assert not file.exists()
