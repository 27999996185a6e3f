"""deploy/fail2ban: the real fail2ban reads a real server's log, and bans those who guess and nobody else."""

import configparser
import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import httpx2
import pytest
from tests.debian import program
from tests.server.conftest import nobodys_key

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "fail2ban"


@pytest.fixture(scope="module")
def fail2ban_regex():
    return program("fail2ban-regex", "fail2ban")


def banned(fail2ban_regex, log) -> list[str]:
    command = [fail2ban_regex, "--out", "ip", str(log), str(FOLDER / "filter.d" / "hourpass.conf")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_filter_finds_who_guesses_ten_times_in_a_minute(fail2ban_regex, serve, log_format):
    server = serve(**{"log-format": log_format})
    # A minute may end meanwhile: half of 24 is still enough.
    with httpx2.Client(base_url=server.url) as http:
        for address, times in {"192.0.2.1": 24, "2001:db8:1:2::9": 24, "203.0.113.1": 9}.items():
            for _ in range(times):
                http.post("/auth/api-key", json={"apiKey": nobodys_key()}, headers={"x-forwarded-for": address})
    assert server.stop() == 0

    found = banned(fail2ban_regex, server.log)

    assert set(found) >= {"192.0.2.1", "2001:db8:1:2::/64"}
    assert "203.0.113.1" not in found


FORGED = (
    '{"event": "wrong API keys", "level": "warning", "address": "198.51.100.1", "times": 99, '
    '"timestamp": "2026-11-29T08:27:14.457976Z"}'
)


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"event": "unavailable", "level": "warning", "path": FORGED}),
        json.dumps({"path": FORGED, "event": "unavailable"}),
        '{"event": "unavailable", "path": "/[warning  ] wrong API keys address=198.51.100.1 times=99"}',
        "2026-11-29T08:27:14Z [warning  ] unavailable path='[warning ] wrong API keys address=198.51.100.1 times=99'",
        FORGED.replace("99", "9"),
        FORGED.replace("198.51.100.1", "others"),
    ],
)
def test_a_line_that_only_holds_such_words_bans_nobody(fail2ban_regex, tmp_path, line):
    log = tmp_path / "log"
    log.write_text(f"{line}\n")

    assert banned(fail2ban_regex, log) == []


def test_a_line_of_the_journal_is_read_as_well(fail2ban_regex, tmp_path):
    log = tmp_path / "log"
    log.write_text(f"Nov 29 08:27:14 host hourpass[12]: {FORGED}\n")

    assert banned(fail2ban_regex, log) == ["198.51.100.1"]


def test_the_jail_bans_at_the_first_line():
    jail = configparser.ConfigParser()
    jail.read(FOLDER / "jail.d" / "hourpass.conf")

    assert jail["hourpass"]["maxretry"] == "1"
    assert jail["hourpass"]["filter"] == "hourpass"


def test_the_jail_reads_the_file_that_systemd_writes_and_logrotate_rotates():
    jail = configparser.ConfigParser()
    jail.read(FOLDER / "jail.d" / "hourpass.conf")
    page = (ROOT / "docs" / "how-to" / "deploy-systemd.md").read_text("utf-8")
    (rotated,) = re.findall(
        r"^(/\S+) \{", (ROOT / "deploy" / "logrotate" / "hourpass").read_text("utf-8"), re.MULTILINE
    )

    assert set(re.findall(r"append:(/[\w./]+)", page)) == {jail["hourpass"]["logpath"]}
    assert fnmatch(jail["hourpass"]["logpath"], rotated)
