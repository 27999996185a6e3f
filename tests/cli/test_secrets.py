"""`hourpass secrets`: the server's own secrets, their states, and how new ones take their place."""

import sqlite3
from contextlib import closing

import pytest

from hourpass.core.policy import MINUTE

KINDS = ["refresh", "pepper", "rotation"]


def status(hourpass, *more: str) -> dict:
    return hourpass.json("secrets", "status", *more)


def states(hourpass, kind: str) -> list[str]:
    return [each["state"] for each in status(hourpass)["secrets"] if each["kind"] == kind]


def a_minute_later(hourpass) -> None:
    """Everything was made a minute earlier. A command reads the machine's clock."""
    with closing(sqlite3.connect(hourpass.data / "hourpass.db")) as db, db:
        db.execute("update secrets set created_at = created_at - ?", [MINUTE])


@pytest.fixture
def installed(hourpass, api_key):
    """An installation with one API key."""
    return hourpass


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_secret_is_published_then_used_then_the_earlier_ones_are_retired(installed, kind):
    assert states(installed, kind) == ["in use"]

    made = installed.json("secrets", "rotate", kind)
    assert (made["kind"], made["state"]) == (kind, "published")
    assert states(installed, kind) == ["published", "in use"]
    assert "waiting already" in installed("secrets", "rotate", kind, code=1).stderr
    assert "wait a minute" in installed("secrets", "retire", kind, "--yes", code=1).stderr

    a_minute_later(installed)
    assert states(installed, kind) == ["in use", "kept"]
    retired = installed.json("secrets", "retire", kind, "--yes")
    assert (len(retired["retired"]), retired["fresh"]) == (1, None)
    assert states(installed, kind) == ["in use"]


def test_retiring_a_pepper_says_how_many_keys_are_refused(installed):
    installed("secrets", "rotate", "pepper")
    a_minute_later(installed)

    told = installed("secrets", "retire", "pepper", "--yes").stderr

    assert "Pepper 1 is retired. 1 API key that needed it is refused from now on.\n" in told


def test_retiring_a_rotation_secret_says_what_is_different(installed):
    installed("secrets", "rotate", "rotation")
    a_minute_later(installed)

    told = installed("secrets", "retire", "rotation", "--yes").stderr

    assert "Rotation secret 1 is retired. A key's holder who asks for the next secret once more gets another" in told


def test_status_says_from_when_a_secret_is_used_if_that_is_known(installed):
    installed("secrets", "rotate", "pepper")
    a_minute_later(installed)

    def used_from() -> list:
        return [each["used_from"] for each in status(installed)["secrets"] if each["kind"] == "pepper"]

    [new, first] = used_from()
    assert new
    assert first is None

    installed("secrets", "retire", "pepper", "--yes")

    assert used_from() == [None]


@pytest.mark.parametrize("kind", KINDS)
def test_retiring_asks_first(installed, kind):
    installed("secrets", "rotate", kind)
    a_minute_later(installed)

    assert "--yes" in installed("secrets", "retire", kind, code=2).stderr
    assert states(installed, kind) == ["in use", "kept"]


def test_retiring_a_refresh_secret_says_how_many_grants_end_and_they_are_not_live_afterwards(installed, api_key):
    installed.exchange(api_key), installed.exchange(api_key)
    installed("secrets", "rotate", "refresh")
    a_minute_later(installed)
    assert len(installed.json("grants", "list")) == 2

    assert "All grants end (2), with their access tokens" in installed("secrets", "retire", "refresh", "--yes").stderr

    assert installed.json("grants", "list") == []
    assert {each["state"] for each in installed.json("grants", "list", "--all")} == {"ended"}


def test_status_counts_and_names_the_keys_that_still_need_a_pepper(installed, api_key):
    key_id = api_key.split("_")[2]
    unused = installed.create_key()["key_id"]
    installed("keys", "revoke", installed.create_key()["key_id"])
    installed("secrets", "rotate", "pepper")
    a_minute_later(installed)

    def needs() -> dict[str, int]:
        return {each["state"]: each["api_keys"] for each in status(installed)["secrets"] if each["kind"] == "pepper"}

    assert needs() == {"in use": 0, "kept": 2}
    assert status(installed, "--keys")["api_keys"] == sorted([key_id, unused])
    assert set(installed("secrets", "status", "--keys").stdout.split()) >= {key_id, unused}

    async def use(server):
        await server.exchange(api_key)
        await server.app.issuer.authentication.moves.keep()

    installed.with_server(use)
    assert needs() == {"in use": 1, "kept": 1}
    assert status(installed, "--keys")["api_keys"] == [unused]


def test_an_older_program_does_not_start_on_a_database_with_a_second_pepper(installed):
    """It knows one pepper, and would refuse every key that is under another one."""

    def oldest() -> int:
        with closing(sqlite3.connect(installed.data / "hourpass.db")) as db:
            return db.execute("select oldest from migrations where name like '0009%'").fetchone()[0]

    installed("secrets", "rotate", "refresh")
    assert oldest() == 1
    installed("secrets", "rotate", "pepper")
    assert oldest() == 9


def test_a_backup_carries_the_rings_and_the_mark(installed, api_key, tmp_path):
    pair = installed.exchange(api_key)
    for kind in KINDS:
        installed("secrets", "rotate", kind)
    a_minute_later(installed)
    before = status(installed)

    installed("backup", str(tmp_path / "backup.db"))
    for beside in ("", "-wal", "-shm"):
        (installed.data / f"hourpass.db{beside}").unlink(missing_ok=True)
    (installed.data / "hourpass.db").touch(mode=0o600)
    installed("restore", str(tmp_path / "backup.db"), "--keep-grants")

    assert status(installed) == before
    with closing(sqlite3.connect(installed.data / "hourpass.db")) as db:
        assert db.execute("select oldest from migrations where name like '0009%'").fetchone() == (9,)
    assert installed.exchange(api_key).access_token
    assert installed.refresh(pair.refresh_token).access_token


def test_a_kind_that_does_not_exist_is_named(installed):
    assert "'refresh', 'pepper', 'rotation'" in installed("secrets", "rotate", "signing", code=2).stderr


def test_a_new_secret_of_the_trail_chains_what_is_written_from_then_on_and_none_is_retired(installed):
    installed("secrets", "rotate", "trail")
    a_minute_later(installed)
    installed.create_key()

    assert states(installed, "trail") == ["in use", "kept"]
    assert installed.json("audit", "verify")["intact"] is True
    assert "'trail' is not one of" in installed("secrets", "retire", "trail", "--yes", code=2).stderr
