"""`hourpass doctor`: what it finds, one line a check, and exit code 1 if anything is bad."""

import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from hourpass.cli.client.doctor import file_system_of

MOUNTS = """\
22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv/data rw shared:2 - nfs4 server:/data rw
31 30 0:41 / /srv/data/local rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/two\\040words rw - cifs //server/share rw
33 22 0:43 / /mnt/both rw - nfs a:/ rw
34 22 0:44 / /mnt/both rw - xfs /dev/vdb rw
a line that is none
"""


def verdicts(user, *arguments: str, code: int = 0) -> dict[str, tuple[str, str]]:
    checks = json.loads(user("doctor", "--json", *arguments, code=code).stdout)
    return {check["name"]: (check["verdict"], check["detail"]) for check in checks}


def test_all_is_well_with_a_user_who_did_everything_right(holder, crontab_of):
    crontab_of(holder)
    holder("install", "crontab", "--write")

    assert {verdict for verdict, _ in verdicts(holder).values()} == {"good"}


def test_each_check_is_one_line(holder):
    lines = holder("doctor").stdout.splitlines()

    assert len(lines) == 8
    assert all(line.split()[0] in ("good", "note", "bad") for line in lines)


def test_a_key_that_others_can_read_is_bad(holder):
    holder.key_file.chmod(0o640)

    assert "mode 0640" in verdicts(holder, code=1)["API key"][1]


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (lambda key: key, "good", "was not asked"),
        (lambda key: key[:-1], "bad", "is a part of it missing?"),
        (lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"), "bad", "is a part of it missing?"),
        (lambda key: "garbage", "note", "does not hold an hourpass key"),
    ],
    ids=["whole", "cut", "mistyped", "garbage"],
)
def test_a_keys_form_and_checksum_are_looked_at_and_no_more(holder, change, verdict, words):
    holder.key_file.write_text(change(holder.api_key))

    (line,) = (line for line in holder("doctor", code=verdict == "bad").stdout.splitlines() if "API key" in line)
    assert line.startswith(verdict)
    assert words in line
    assert holder.api_key not in line


def test_a_key_that_is_not_there_is_bad(holder):
    holder.key_file.unlink()

    assert verdicts(holder, code=1)["API key"][0] == "bad"


def test_a_key_in_the_environment_is_worth_a_note(holder):
    holder.environment = {**holder.bare, "HOURPASS_URL": holder.url, "HOURPASS_API_KEY": holder.api_key}

    assert verdicts(holder)["API key"][0] == "note"


def test_a_cache_that_others_can_read_is_bad(holder):
    holder.cache_file.chmod(0o644)

    assert "mode 0644" in verdicts(holder, code=1)["cache file"][1]


def test_a_cache_behind_a_link_is_bad(holder):
    path = holder.cache_file
    path.rename(holder.home / "elsewhere")
    path.symlink_to(holder.home / "elsewhere")

    assert verdicts(holder, code=1)["cache file"][0] == "bad"


def test_a_folder_in_which_anyone_may_replace_files_is_bad(holder):
    holder.folder.chmod(0o777)

    assert "chmod o-w" in verdicts(holder, code=1)["cache folder"][1]


def test_an_expired_token_that_nobody_refreshed_is_bad(holder):
    holder.age(3600)

    assert verdicts(holder, code=1)["token"][0] == "bad"


def test_a_user_without_any_token_yet_has_nothing_bad(user):
    assert verdicts(user)["token"] == ("note", "none yet")


@pytest.mark.parametrize(
    ("line", "verdict"),
    [("0 * * * *", "bad"), ("*/10 * * * *", "bad"), ("*/6 * * * *", "good"), ("@hourly", "bad")],
    ids=["hourly", "every 10 min", "every 6 min", "by name"],
)
def test_a_crontab_that_comes_too_seldom_is_bad(holder, crontab_of, line, verdict):
    """stay-authenticated.md, "cron": an hourly job is too late for a token that lives an hour."""
    crontab_of(holder).write_text(f"{line} hourpass refresh --if-due\n# 0 0 * * * hourpass refresh\n0 0 * * * backup\n")

    assert verdicts(holder, code=int(verdict == "bad"))["schedule"][0] == verdict


def test_a_timer_that_comes_too_seldom_is_bad(holder):
    holder("install", "systemd", "--write", "--every", "60", "--lifetime", "86400")

    assert "hourpass-refresh.timer" in verdicts(holder, code=1)["schedule"][1]


@pytest.mark.parametrize(("every", "verdict"), [("6", "good"), ("7", "bad")], ids=["6 min", "7 min"])
def test_an_interval_can_be_asked_about(holder, every, verdict):
    assert verdicts(holder, "--every", every, code=int(verdict == "bad"))["schedule"][0] == verdict


def test_a_server_that_does_not_answer_is_bad(holder, server):
    server.kill()

    assert verdicts(holder, code=1)["server"][0] == "bad"


@pytest.mark.parametrize(
    ("offset", "verdict", "words"),
    [(0, "good", "agrees"), (-300, "bad", "ahead of"), (300, "bad", "behind"), (-20, "good", "agrees")],
    ids=["right", "server slow", "server fast", "within 30 s"],
)
def test_the_clock_is_compared_with_the_servers(stranger, answering, offset, verdict, words):
    with answering(405, {"Date": formatdate(time.time() + offset, usegmt=True)}) as url:
        found = verdicts(stranger, "--url", url, code=int(verdict == "bad"))["clock"]

    assert found[0] == verdict
    assert words in found[1]


def test_a_server_without_a_date_is_worth_a_note(stranger, answering):
    with answering(405, {}) as url:
        assert verdicts(stranger, "--url", url)["clock"][0] == "note"


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (301, {"Location": "https://other.example.com/auth/refresh"}, "redirects to https://other.example.com"),
        (308, {"Location": "/elsewhere"}, "redirects to /elsewhere"),
        (404, {}, "no token endpoint"),
        (503, {}, "answers 503"),
    ],
    ids=["moved", "moved within", "not found", "in trouble"],
)
def test_a_base_url_that_leads_elsewhere_is_bad(stranger, answering, status, headers, words):
    with answering(status, headers) as url:
        verdict, detail = verdicts(stranger, "--url", url, code=1)["server"]

    assert verdict == "bad"
    assert words in detail


def test_a_token_file_is_looked_at_too(holder, tmp_path):
    path = tmp_path / "token"
    path.write_text(holder.cached["access_token"])
    path.chmod(0o640)
    assert verdicts(holder, "--token-file", str(path))["token file"][0] == "good"

    path.chmod(0o644)
    assert "anyone" in verdicts(holder, "--token-file", str(path), code=1)["token file"][1]


@pytest.mark.parametrize("content", ["", "two words"], ids=["empty", "no token"])
def test_a_token_file_without_a_token_is_bad(holder, tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)

    assert verdicts(holder, "--token-file", str(path), code=1)["token file"][0] == "bad"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data/cache", "nfs4"),
        ("/srv/data/local/cache", "tmpfs"),
        ("/srv/database", "ext4"),
        ("/mnt/two words/cache", "cifs"),
        ("/mnt/both", "xfs"),
    ],
    ids=["below", "a mount in a mount", "a similar name", "a name with a space", "mounted over"],
)
def test_the_file_system_is_that_of_the_nearest_mount(path, kind):
    """proc(5), /proc/pid/mountinfo."""
    assert file_system_of(Path(path), MOUNTS) == kind


def test_no_mounts_no_verdict():
    assert file_system_of(Path("/srv"), "") is None
