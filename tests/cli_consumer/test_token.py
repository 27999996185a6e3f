"""`hourpass token` and `auth-header`: what is printed, and which exit code says how fresh it is."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conftest import HOURPASS

from hourpass.client.refresh.cache import FileCache


def test_a_first_token_comes_from_the_server_and_the_next_from_the_cache(user, server):
    first = user.token()
    server.kill()

    assert first.startswith("eyJ")
    assert user.token() == first


def test_a_token_past_soft_needs_no_server_while_enough_is_left(holder, server):
    holder.age(3000)
    server.kill()

    assert holder.token("--min-valid", "500") == holder.cached["access_token"]


def test_less_than_the_asked_for_time_refreshes_first(holder):
    before = holder.cached["access_token"]
    holder.age(3000)

    assert holder.token("--min-valid", "600") != before


def test_code_10_a_token_that_is_still_valid_is_printed_although_the_refresh_failed(holder, server):
    holder.age(3400)
    server.kill()
    result = holder("token", "--min-valid", "600", code=10)

    assert result.stdout.strip() == holder.cached["access_token"]
    assert result.stderr.startswith("hourpass: no connection to the token endpoint (Connection refused)")


@pytest.mark.parametrize("age", [3528, 3600, 40_000], ids=["past hard", "expired", "long expired"])
def test_code_20_a_token_past_hard_is_never_printed(holder, server, age):
    holder.age(age)
    server.kill()

    assert holder("token", "--timeout", "0.2", code=20).stdout == ""


def test_code_20_without_a_token_and_a_server(user, server):
    server.kill()

    assert user("token", "--timeout", "0.2", code=20).stdout == ""


def test_code_30_if_the_key_is_refused(user, server):
    server.command("keys", "revoke", user.key_id)

    assert "does not accept the API key" in user("token", code=30).stderr


def test_code_30_without_a_key_and_without_anything_to_refresh(user):
    assert "no API key" in user("token", code=30, env={**user.bare, "HOURPASS_URL": user.url}).stderr


def test_code_40_if_another_process_does_not_end_its_refresh(holder):
    holder.age(3600)
    with FileCache(holder.cache_file).lock(1):
        result = holder("token", "--timeout", "0.2", code=40)

    assert result.stdout == ""


def test_without_a_key_the_cached_refresh_token_is_enough(holder):
    before = holder.cached["access_token"]
    holder.age(3600)

    assert holder.token(env={**holder.bare, "HOURPASS_URL": holder.url}) not in ("", before)


def test_8_parallel_commands_on_an_expired_cache_make_one_refresh(holder):
    """stay-authenticated.md, "Before you begin": however many processes ask at once, there is one refresh."""
    holder.age(3600)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: holder.token(), range(8)))

    assert len(set(tokens)) == 1
    assert holder.cached["number"] == 2


def test_the_cache_is_for_its_user_alone_under_any_umask(user):
    user("token", umask=0)

    assert user.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in user.folder.iterdir()} == {0o600}


def test_another_token_request_has_another_place_in_the_cache(holder):
    before = holder.cached["access_token"]
    narrowed = holder.token("--scope", "videos.read")

    assert narrowed != before
    assert holder.token() == before


def test_the_json_holds_instants_in_epoch_milliseconds(holder):
    answer = json.loads(holder("token", "--json").stdout)

    assert list(answer) == ["access_token", "token_type", "expires_at", "issued_at"]
    assert answer["token_type"] == "Bearer"
    assert answer["expires_at"] - answer["issued_at"] == 3_600_000
    assert abs(answer["issued_at"] - time.time() * 1000) < 60_000


def test_the_header_is_ready_for_curl(holder):
    """RFC 6750 §2.1."""
    value = f"Bearer {holder.cached['access_token']}"

    assert holder("auth-header").stdout == f"Authorization: {value}\n"
    assert json.loads(holder("auth-header", "--json").stdout) == {"Authorization": value}


def test_a_cached_token_loads_no_http_library_and_no_server(holder):
    result = holder("token", env={**holder.environment, "PYTHONPROFILEIMPORTTIME": "1"})

    imported = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "click" in imported
    assert imported.isdisjoint(
        {
            "apsw",
            "asyncio",
            "cryptography",
            "filelock",
            "http",
            "httpx2",
            "msgspec",
            "rich",
            "ssl",
            "uvloop",
        }
    )


@pytest.fixture
def read_only(user):
    """Mounts the user's cache folder read-only, for one command: root, too, cannot write there."""

    def run(*arguments):
        folder = user.home / "cache"
        script = f'mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && exec "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", HOURPASS]
        done = subprocess.run([*command, *arguments], env=user.environment, capture_output=True, text=True, check=False)
        if "mount:" in done.stderr or "unshare:" in done.stderr:
            (pytest.fail if os.environ.get("CI") == "true" and os.geteuid() == 0 else pytest.skip)(done.stderr)
        return done

    return run


def test_a_read_only_folder_costs_the_cache_and_not_the_token(user, read_only):
    user.folder.mkdir(parents=True)

    done = read_only("token")

    assert (done.returncode, done.stdout[:3]) == (0, "eyJ")
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert list(user.folder.iterdir()) == []


def test_in_a_read_only_folder_a_fresh_token_is_used_and_a_refresh_token_is_left_alone(user, read_only):
    """A command that presents a refresh token must be able to keep its successor."""
    before = user.token()
    done = read_only("token")
    assert (done.stdout.strip(), done.stderr) == (before, "")

    user.age(3600)
    after = read_only("token").stdout.strip()

    assert after not in ("", before)
    assert user.token() not in ("", before, after), "the cached refresh token is still the current one"


@pytest.fixture
def closed(tmp_path):
    """Runs the command as a user to whom one folder is closed: root, too, may not look into it."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

    def run(*arguments, **environment):
        command = [*as_others, HOURPASS, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    run.folder = folder
    yield run
    folder.chmod(0o700)


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME", "HOURPASS_CACHE"])
def test_a_folder_that_is_closed_to_this_user_costs_the_cache_and_not_the_token(user, closed, name):
    """Such as root's home, which a container or sudo leaves in HOME."""
    others = {other: value for other, value in user.environment.items() if not other.endswith(("HOME", "_CACHE"))}
    environment = {**others, "HOURPASS_API_KEY": user.api_key, name: str(closed.folder / "home")}
    environment.pop("HOURPASS_API_KEY_FILE", None)

    done = closed("token", **environment)

    assert (done.returncode, done.stdout[:3]) == (0, "eyJ"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("cannot be used, so the token is not cached: Permission denied\n")


def test_a_credential_of_systemd_that_is_closed_to_this_user_is_told_in_one_sentence(user, closed):
    environment = {**user.bare, "HOURPASS_URL": user.url, "CREDENTIALS_DIRECTORY": str(closed.folder / "unit")}

    done = closed("token", **environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hourpass: the API key cannot be read from the file systemd's credential: Permission denied\n"


@pytest.mark.parametrize("command", ["token", "refresh"])
def test_a_cache_that_is_nested_without_end_is_an_empty_one(holder, command):
    (file,) = (one for one in holder.folder.iterdir() if one.suffix != ".lock")
    file.write_bytes(b"[" * 200_000)

    holder(command)

    assert holder.cached["access_token"].startswith("eyJ")
