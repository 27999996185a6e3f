"""`hourpass install`: entries that run as they are, are written once, and come often enough."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from tests.conftest import HOURPASS

DEPLOY = Path(__file__).parents[2] / "deploy"

EXAMPLE = (
    "--url", "https://auth.example.com", "--api-key-file", "/etc/hourpass/api-key",
    "--program", "/usr/local/bin/hourpass",
)  # fmt: skip


def parsed(text: str) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def units_in(text: str) -> dict[str, str]:
    parts = re.split(r"^# (\S+\.(?:service|timer))\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() + "\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def test_the_line_runs_in_the_environment_of_cron(user):
    """cron gives HOME, a short PATH and sh, and reads `%` and spaces in the line by the rules of crontab(5)."""
    odd = user.home / "50% off"
    line = user("install", "crontab", "--splay", "0", "--cache", str(odd)).stdout.splitlines()[-1]
    command = line.split(None, 5)[5].replace(r"\%", "%")
    done = subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={user.home}", "sh", "-c", command], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for path in odd.iterdir() if path.suffix != ".lock"]


def test_the_user_reads_the_token_that_the_job_keeps_fresh(user):
    line = user("install", "crontab", "--splay", "0").stdout.splitlines()[-1]
    subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={user.home}", "sh", "-c", line.split(None, 5)[5]], check=True
    )

    assert user.token(env={**user.bare, "HOURPASS_URL": user.url}) == user.cached["access_token"]


def test_writing_twice_is_writing_once(stranger, tmp_path, crontab_of):
    table = crontab_of(stranger)
    table.write_text("MAILTO=ada\n0 3 * * * backup\n")
    stranger("install", "crontab", "--write")
    first = table.read_text()
    stranger("install", "crontab", "--write")

    assert table.read_text() == first
    assert first.startswith("MAILTO=ada\n0 3 * * * backup\n# hourpass-refresh\n*/3 * * * * ")


def test_writing_again_replaces_the_entry_of_that_name_alone(stranger, crontab_of):
    table = crontab_of(stranger)
    stranger("install", "crontab", "--write")
    stranger("install", "crontab", "--write", "--name", "other")
    stranger("install", "crontab", "--write", "--every", "2")
    lines = table.read_text().splitlines()

    assert [line.split()[0] for line in lines if not line.startswith("#")] == ["*/2", "*/3"]


def test_the_first_entry_needs_no_crontab_before_it(stranger, crontab_of):
    table = crontab_of(stranger)
    stranger("install", "crontab", "--write")

    assert table.read_text().startswith("# hourpass-refresh\n")


@pytest.mark.parametrize(
    ("arguments", "minutes", "splay"),
    [
        ((), 3, 180),
        (("--every", "2"), 2, 120),
        (("--every", "5"), 5, 114),
        (("--every", "1", "--lifetime", "900"), 1, 43),
        (("--every", "5", "--splay", "60"), 5, 60),
    ],
)
def test_a_job_is_spread_over_its_whole_interval_as_far_as_there_is_time(stranger, arguments, minutes, splay):
    """A thief could time himself to a refresh that is always in the first minute of five."""
    line = stranger("install", "crontab", *arguments).stdout
    units = stranger("install", "systemd", *arguments).stdout

    when = "*" if minutes == 1 else f"*/{minutes}"
    assert f"\n{when} * * * * " in line
    assert f"--splay {splay} " in line
    assert f"RandomizedDelaySec={splay}\n" in units


@pytest.mark.parametrize("kind", ["crontab", "systemd"])
@pytest.mark.parametrize(
    "arguments",
    [("--every", "60"), ("--every", "6", "--splay", "60"), ("--every", "5", "--lifetime", "900")],
    ids=["hourly", "splay too long", "short lifetime"],
)
def test_an_interval_that_is_too_long_is_refused_with_one_that_would_do(stranger, kind, arguments):
    """stay-authenticated.md, "cron": every 3600 s is always late."""
    words = stranger("install", kind, *arguments, code=2).stderr
    every, splay = re.search(r"use --every (\d+) --splay (\d+)", words).groups()

    lifetime = arguments[arguments.index("--lifetime") :] if "--lifetime" in arguments else ()
    stranger("install", kind, "--every", every, "--splay", splay, *lifetime)


def test_for_a_very_short_lifetime_no_interval_will_do(stranger):
    assert "use hourpass agent" in stranger("install", "crontab", "--lifetime", "60", code=2).stderr


def test_the_lifetime_is_that_of_the_cached_token(user):
    user("refresh")
    record = user.cached
    user.cache_file.write_text(user.cache_file.read_text().replace('"lifetime": 3600000', '"lifetime": 86400000'))

    assert record["lifetime"] == 3_600_000
    assert user("install", "crontab", "--every", "60").stdout


@pytest.mark.parametrize("variable", ["HOURPASS_API_KEY"])
def test_a_key_that_the_job_could_not_get_is_refused(stranger, variable):
    environment = {**stranger.bare, "HOURPASS_URL": stranger.url, variable: stranger.api_key}

    assert "use --api-key-file" in stranger("install", "crontab", code=2, env=environment).stderr


def test_systemd_units_are_written_once(stranger):
    folder = stranger.home / ".config" / "systemd" / "user"
    stranger("install", "systemd", "--write")
    written = {path.name: path.read_text() for path in folder.iterdir()}

    assert written == units_in(stranger("install", "systemd").stdout)
    assert stranger("install", "systemd", "--write").stderr.count("as it should be") == 2


def test_the_timer_is_spread_and_catches_up(stranger):
    timer = parsed(units_in(stranger("install", "systemd").stdout)["hourpass-refresh.timer"])["Timer"]

    assert (timer["OnCalendar"], timer["RandomizedDelaySec"], timer["Persistent"]) == ("*:0/3", "180", "true")


@pytest.mark.parametrize("system", [(), ("--system", "root")], ids=["user", "system"])
def test_systemd_accepts_the_units(stranger, tmp_path, system):
    """If `systemd-analyze` is missing, only their syntax is checked, and the test says so."""
    units = units_in(stranger("install", "systemd", *system).stdout)
    for name, text in units.items():
        (tmp_path / name).write_text(text)
        assert parsed(text).sections()
    if shutil.which("systemd-analyze") is None:
        print("no systemd-analyze here: the units were parsed only")
        return
    scope = [] if system else ["--user"]
    done = subprocess.run(
        ["systemd-analyze", *scope, "verify", "--man=no", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
        env={**stranger.bare, "XDG_RUNTIME_DIR": str(tmp_path)},
    )

    assert [line for line in done.stderr.splitlines() if "hourpass-refresh" in line] == []
    assert done.returncode == 0, done.stderr


def test_the_units_in_the_repository_are_the_ones_that_the_command_prints(stranger):
    printed = units_in(stranger("install", "systemd", "--system", "hourpass", *EXAMPLE, env=stranger.bare).stdout)

    assert printed == {name: (DEPLOY / "systemd" / name).read_text() for name in printed}


def test_the_crontab_in_the_repository_is_the_one_that_the_command_prints(stranger):
    printed = stranger("install", "crontab", *EXAMPLE, "--cache", "/var/cache/hourpass", env=stranger.bare).stdout

    assert printed == (DEPLOY / "cron" / "hourpass.crontab").read_text()


def test_the_job_calls_the_command_that_made_it(stranger):
    assert f" {HOURPASS} refresh --if-due" in stranger("install", "crontab").stdout
