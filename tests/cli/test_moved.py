"""After a move the old database can be looked at, and neither changed nor served. Every change names its database."""

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import apsw
import pytest
from tests.conftest import HOURPASS
from tests.postgres.cluster import NEWEST, clusters_of

CHANGING = [
    ("keys", "create", "--name", "x"),
    ("keys", "revoke", "KEY"),
    ("grants", "revoke", "GRANT"),
    ("tokens", "revoke", "-"),
    ("signing-keys", "rotate"),
    ("signing-keys", "withdraw", "KID", "--yes"),
    ("migrate",),
    ("serve", "--port", "0", "--admin-listen", "off"),
    ("demo", "--port", "0"),
    ("config", "check"),
]
LOOKING = [
    ("keys", "list"),
    ("keys", "show", "KEY"),
    ("grants", "list"),
    ("tokens", "inspect", "-"),
    ("signing-keys", "list"),
    ("audit",),
    ("backup", "FILE"),
    ("copy", "--rehearse", "--to", "sqlite:FILE"),
]


def words(arguments: tuple[str, ...]) -> str:
    return " ".join(arguments[:2])


@pytest.fixture
def installed(hourpass, api_key, tmp_path):
    """An installation, and its ids under the names that the tables of commands have for them."""
    hourpass.token = hourpass.exchange(api_key).access_token.decode()
    hourpass.ids = {
        "KEY": hourpass.json("keys", "list")[0]["key_id"],
        "GRANT": hourpass.json("grants", "list")[0]["grant_id"],
        "KID": hourpass.json("signing-keys", "list")[0]["kid"],
        "FILE": str(tmp_path / "file"),
    }
    hourpass.filled = lambda arguments: [
        hourpass.ids.get(word, word.replace("FILE", hourpass.ids["FILE"])) for word in arguments
    ]
    return hourpass


@pytest.fixture
def moved(installed, tmp_path):
    """The same after a move into a file."""
    installed.target = f"sqlite:{tmp_path / 'new.db'}"
    installed("copy", "--to", installed.target)
    return installed


@pytest.mark.parametrize("arguments", CHANGING, ids=words)
def test_a_change_to_the_old_database_is_refused_and_names_the_new_one(moved, arguments):
    before = moved.json("audit"), moved.json("keys", "list")

    result = moved(*moved.filled(arguments), "--data", str(moved.data), code=1, input=moved.token)

    assert result.stdout == ""
    assert f"{moved.name} was moved to {moved.target}: name that one with --database" in result.stderr
    assert (moved.json("audit"), moved.json("keys", "list")) == before


@pytest.mark.parametrize("arguments", LOOKING, ids=words)
def test_a_command_that_only_reads_works_with_a_note(moved, arguments):
    result = moved(*moved.filled(arguments), input=moved.token)

    assert result.stdout
    assert f"{moved.name} was moved to {moved.target}: this is how it was on " in result.stderr


def test_the_new_database_works(moved):
    moved("keys", "revoke", moved.ids["KEY"], "--database", moved.target)
    moved("config", "check", "--database", moved.target)


def test_undo_takes_the_mark_off(moved):
    assert "can be changed and served again" in moved("copy", "--undo").stderr
    assert "is not marked as moved" in moved("copy", "--undo").stderr
    assert moved.json("copy", "--undo") == {"undone": False}

    moved("keys", "revoke", moved.ids["KEY"])


def test_undo_concerns_the_source(moved):
    moved("copy", "--undo", "--to", moved.target, code=2)


def test_a_rehearsal_leaves_no_mark(installed):
    installed("copy", "--rehearse", "--to", f"sqlite:{installed.ids['FILE']}")

    installed("keys", "revoke", installed.ids["KEY"])


def test_a_move_to_postgresql_and_back_marks_each_and_tells_no_password(installed, request, tmp_path):
    cluster = clusters_of(request.config).shared(NEWEST)
    postgres = cluster.url(cluster.create_database(), password="hunter2")

    result = installed("copy", "--to", postgres)
    refused = installed("keys", "revoke", installed.ids["KEY"], code=1)

    assert "postgresql://" in refused.stderr
    assert "hunter2" not in refused.stderr + result.stderr
    back = f"sqlite:{tmp_path / 'back.db'}"
    installed("copy", "--from", postgres, "--to", back)
    refused = installed("keys", "revoke", installed.ids["KEY"], "--database", postgres, code=1)
    assert f"was moved to {back}" in refused.stderr
    assert "hunter2" not in refused.stderr
    installed("keys", "revoke", installed.ids["KEY"], "--database", back)


def test_a_copy_that_fails_or_is_interrupted_leaves_no_mark(installed, tmp_path):
    target = f"sqlite:{tmp_path / 'new.db'}"
    installed("copy", "--to", target, "--rehearse")

    installed("copy", "--to", target, code=1)

    installed("keys", "create", "--name", "still here")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_is_killed_in_the_middle_leaves_no_mark(installed, tmp_path, number):
    """It is held up in the middle by another writer in the target."""
    target = tmp_path / "new.db"
    installed("migrate", "--database", f"sqlite:{target}")
    held = apsw.Connection(str(target))
    held.execute("begin immediate")
    process = subprocess.Popen(
        [HOURPASS, "copy", "--to", f"sqlite:{target}"], env=installed.environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while str(target) not in _open_files(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(20) != 0
    held.close()

    installed("keys", "create", "--name", "still here")


def _open_files(pid: int) -> set[str]:
    opened = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.add(str(descriptor.readlink()))
    return opened


@pytest.mark.parametrize(
    "arguments", [each for each in CHANGING if each[0] in ("keys", "grants", "tokens", "signing-keys")], ids=words
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_every_change_names_its_database_on_stderr(installed, arguments, as_json):
    result = installed(*installed.filled(arguments), *(["--json"] if as_json else []), input=installed.token)

    assert f"Database: {installed.name}\n" in result.stderr
    assert installed.name not in result.stdout
    if as_json:
        json.loads(result.stdout)


def test_migrating_and_restoring_name_their_database_too(installed, tmp_path):
    installed("backup", installed.ids["FILE"])
    other = f"sqlite:{tmp_path / 'other.db'}"

    assert f"Database: {other}" in installed("migrate", "--database", other).stderr
    restored = installed("restore", installed.ids["FILE"], "--database", other, "--keep-grants")
    assert f"Database: {other}" in restored.stderr
