"""The data folder: made on the first start for its owner alone, found again by the next one, and one server's only."""

import stat

import httpx2
import pytest
from tests.conftest import run_command
from tests.e2e.conftest import exchange, generation, new_pair, refresh, verify


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_the_first_start_makes_a_folder_for_its_owner_alone(serve):
    server = serve()

    assert mode(server.data) == 0o700
    assert mode(server.data / "master.key") == 0o600


def test_in_a_folder_that_others_may_enter_the_files_are_still_their_owners_alone(serve, tmp_path):
    """A folder that was there before, such as a mounted volume, may be open. A grant's seed is half a token."""
    (tmp_path / "data-0").mkdir(mode=0o755)
    server = serve()

    assert {file.name: mode(file) for file in server.data.glob("hourpass.db*")} == {
        "hourpass.db": 0o600,
        "hourpass.db-shm": 0o600,
        "hourpass.db-wal": 0o600,
    }


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_next_start_goes_on_with_the_same_secrets(serve, end):
    server = serve()
    api_key = server.create_key()["api_key"]
    pair = exchange(server, api_key).json()
    master_key = (server.data / "master.key").read_bytes()
    keys = httpx2.get(f"{server.url}/.well-known/jwks.json").json()

    getattr(server, end)()
    server.restart()

    assert (server.data / "master.key").read_bytes() == master_key
    assert httpx2.get(f"{server.url}/.well-known/jwks.json").json() == keys
    assert verify(server, pair["access_token"]) == 204
    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 1
    assert exchange(server, api_key).status_code == 200


def test_a_revocation_outlives_a_restart(serve):
    """The list is in the database, not in the server's memory."""
    server = serve()
    pair = new_pair(server)
    httpx2.post(f"{server.url}/oauth/revoke", data={"token": pair["refresh_token"]}).raise_for_status()
    assert verify(server, pair["access_token"]) == 401

    server.kill()
    server.restart()

    assert verify(server, pair["access_token"]) == 401
    assert refresh(server, pair["refresh_token"]).json()["reason"] == "revoked"


def test_a_second_server_on_the_folder_is_refused_with_the_reason_and_the_first_goes_on(serve):
    server = serve()
    pair = new_pair(server)

    second = server.command("serve", "--port", "0", "--admin-listen", "off", check=False)

    assert second.returncode == 1
    assert f"another hourpass server runs on the data folder {server.data}" in second.stderr
    assert "Traceback" not in second.stderr
    assert verify(server, pair["access_token"]) == 204
    assert refresh(server, pair["refresh_token"]).status_code == 200


def test_a_port_that_is_taken_is_refused_with_the_reason(serve, tmp_path):
    server = serve()

    second = run_command("serve", "--data", str(tmp_path / "other"), "--port", str(server.port), check=False)

    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_term_ends_a_server_with_exit_code_0_and_the_database_in_one_file(serve):
    server = serve()
    new_pair(server)

    assert server.stop() == 0
    assert {file.name for file in server.data.iterdir()} == {"hourpass.db", "master.key", "serve.lock"}


def test_every_file_of_the_data_folder_is_for_its_owner_alone(serve):
    """Also the locks: others could hold one that they can read, and no server would start again."""
    server = serve()
    new_pair(server)
    server.command("master-key", "rotate", "--yes")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in server.data.iterdir()}

    assert {"serve.lock", "master.key.lock", "hourpass.db-wal"} <= modes.keys()
    assert modes == dict.fromkeys(modes, 0o600)


def test_a_server_whose_master_key_is_gone_says_so_and_makes_no_other(serve):
    server = serve()
    server.stop()
    (server.data / "master.key").unlink()

    listed = server.command("keys", "list", check=False)

    assert listed.returncode == 1
    assert "master.key is missing" in listed.stderr
    assert not (server.data / "master.key").exists()
