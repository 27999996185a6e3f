"""The package's face: five names, and nothing loaded before it is needed."""

import subprocess
import sys

import pytest

import hourpass.client
from hourpass.client.credential import dump_credential, new_credential
from hourpass.client.refresh.cache import FileCache
from hourpass.clocks import boot_clock, draw, wall_clock

READ = """
import sys
from hourpass.client import FileCache, TokenSource
print(TokenSource("https://api.example.com", cache=FileCache(sys.argv[1])).token())
print(sorted({"asyncio", "cryptography", "filelock", "httpx2", "msgspec", "ssl"} & set(sys.modules)))
"""


def test_a_fresh_token_in_a_file_is_read_without_an_http_library(tmp_path):
    now, wall = boot_clock(), wall_clock()
    one = new_credential(
        access_token="fresh", refresh_token=None, number=1, issued_at=now, lifetime=3_600_000, jitter=draw()
    )
    FileCache(tmp_path / "token").write(dump_credential(one, "https://api.example.com", now, wall))

    done = subprocess.run([sys.executable, "-c", READ, tmp_path / "token"], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:2] == ["fresh", "[]"]


@pytest.mark.parametrize("name", hourpass.client.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(hourpass.client, name).__name__ == name
    assert name in dir(hourpass.client)


def test_no_other_name_is():
    with pytest.raises(AttributeError, match="Nothing"):
        _ = hourpass.client.Nothing


OLD_NAMES = {
    "httpx_auth": "httpx2",
    "classic_httpx_auth": "httpx",
    "requests_auth": "requests",
    "aiohttp_auth": "aiohttp",
}


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_adapters_old_name_still_works_and_warns(old, new):
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    from hourpass.client.{old} import HourpassAuth
from hourpass.client.auth import {new}
print(HourpassAuth is {new}.HourpassAuth, [str(one.message) for one in told if "hourpass" in str(one.message)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == f"True ['use hourpass.client.auth.{new}']\n"
