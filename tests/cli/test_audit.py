"""`hourpass audit`."""

import contextlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess

import apsw
import pytest
from tests.conftest import HOURPASS


def test_the_trail_is_in_the_order_of_what_happened(hourpass):
    key_id = hourpass.create_key()["key_id"]
    hourpass("keys", "revoke", key_id)

    trail = hourpass.json("audit")

    assert [record["event"] for record in trail] == ["signing_key.published", "key.created", "key.revoked"]
    assert [record["number"] for record in trail] == [1, 2, 3]
    created = trail[1]
    assert created.keys() == {"number", "at", "event", "key_id", "name", "actor"}
    assert created["key_id"] == key_id


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({}, "cli:{me}@{host}"),
        ({"USER": "{me}"}, "cli:{me}@{host}"),
        ({"USER": "ada"}, "cli:{me}@{host} (USER=ada)"),
        ({"USER": "root", "SUDO_USER": "ada"}, "cli:{me}@{host} (USER=ada)"),
        ({"USER": "x" * 1_000}, "cli:{me}@{host} (USER=" + "x" * 64 + ")"),
    ],
)
def test_the_actor_is_the_systems_user_with_what_the_environment_says_beside_it(hourpass, told, shown):
    """Anybody can set USER, and be somebody else in the trail."""
    me = pwd.getpwuid(os.getuid()).pw_name
    told = {name: value.replace("{me}", me) for name, value in {"USER": "", "SUDO_USER": "", **told}.items()}

    hourpass("keys", "create", "--name", "x", env=told)

    assert hourpass.json("audit")[-1]["actor"] == shown.format(me=me, host=socket.gethostname())


FORGERIES = ["x actor=cli:alice", 'a" actor="cli:bob', ")=", "it's", "café au lait", "a\\b"]


def members(line: str) -> list[str]:
    """The members of a line, as somebody reads them who knows that a value may stand in quotes."""
    return re.findall(r'(?:^|\s)([a-z_]+)=(?="(?:[^"\\\\]|\\\\.)*"(?:\s|$)|[^\s"]+(?:\s|$))', line)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_name_cannot_look_like_a_further_member(hourpass, name):
    hourpass("keys", "create", "--name", name)

    line = hourpass("audit").stdout.splitlines()[-1]

    quoted = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
    assert quoted.count("=") == 3
    assert members(quoted) == ["key_id", "actor", "name"]
    assert f"name={json.dumps(name, ensure_ascii=False)}" in line


@pytest.mark.parametrize("name", [*FORGERIES, "x) event=key.revoked", "a\x1b[2Jb"])
def test_no_stored_actor_address_request_or_event_can_look_like_a_further_member(hourpass, name):
    """No command of ours writes such a value. Another hand may have, in the database itself."""
    hourpass.create_key()
    with contextlib.closing(apsw.Connection(str(hourpass.data / "hourpass.db"))) as database:
        database.execute("update audit set event = ?1, actor = ?1, address = ?1, request_id = ?1", (name,))

    line = hourpass("audit", "--last", "1").stdout

    assert line.count("\n") == 1
    assert members(re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)) == ["key_id", "actor", "address", "request_id", "name"]


HOSTILE = "a\nrevoked  key_created\x1b[2J\x9b1m\u202eb\u2028c"
"""No command of ours lets this in, but an older database may hold it, or another hand wrote it."""


@pytest.mark.parametrize(
    "arguments",
    [("audit",), ("audit", "--json"), ("keys", "list"), ("keys", "list", "--json"), ("keys", "show", "ID")],
    ids=" ".join,
)
def test_a_stored_text_begins_no_line_and_tells_the_terminal_nothing(hourpass, arguments):
    made = hourpass.create_key()
    before = len(
        hourpass(*arguments[:-1], *([made["key_id"]] if "ID" in arguments else arguments[-1:])).stdout.splitlines()
    )
    database = apsw.Connection(str(hourpass.data / "hourpass.db"))
    database.execute("update api_keys set name = ?, subject = ?", (HOSTILE, HOSTILE))
    database.execute("update audit set detail = json_set(detail, '$.name', ?) where key_id is not null", (HOSTILE,))
    database.close()

    shown = hourpass(*arguments[:-1], *([made["key_id"]] if "ID" in arguments else arguments[-1:])).stdout

    assert all(letter.isprintable() for letter in shown.replace("\n", ""))
    assert len(shown.splitlines()) == before
    if "--json" in arguments:
        assert json.loads(shown)[-1]["name"] == HOSTILE


def test_an_instant_in_the_trail_is_a_date(hourpass):
    hourpass.create_key()

    published = hourpass.json("audit")[0]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", published["signs_from"])
    assert f"signs_from={published['signs_from']}" in hourpass("audit").stdout


def test_a_replay_is_in_the_trail_with_its_generations(hourpass, api_key):
    old = hourpass.exchange(api_key, seconds_ago=90).refresh_token
    hourpass.refresh(old, seconds_ago=90)
    with pytest.raises(Exception, match="replayed"):
        hourpass.refresh(old)

    last = hourpass.json("audit")[-1]

    assert last["event"] == "grant.replayed"
    assert (last["presented_generation"], last["current_generation"]) == (0, 1)


def test_last_says_how_many_to_begin_with(hourpass):
    hourpass.create_key()
    hourpass.create_key()

    assert [record["number"] for record in hourpass.json("audit", "--last", "2")] == [2, 3]


def test_the_trail_holds_no_key_and_no_token(hourpass, api_key):
    pair = hourpass.exchange(api_key)
    hourpass("tokens", "revoke", "-", input=pair.refresh_token.decode())

    trail = hourpass("audit").stdout

    assert "grant.revoked" in trail
    assert api_key.rpartition("_")[2] not in trail
    for token in (pair.access_token, pair.refresh_token):
        assert token.decode().rpartition(".")[2] not in trail


@pytest.mark.parametrize(
    "as_json",
    [
        False,
        True,
    ],
    ids=["words", "json lines"],
)
def test_follow_goes_on_with_what_happens_until_ctrl_c(hourpass, as_json):
    hourpass.create_key()
    following = subprocess.Popen(
        [HOURPASS, "audit", "--follow", *(["--json"] if as_json else [])],
        env=hourpass.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [following.stdout.readline() for _ in range(2)]
        hourpass.create_key()
        lines.append(following.stdout.readline())
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=10)
    finally:
        following.kill()
        following.communicate()

    events = [json.loads(line)["event"] if as_json else line.split()[2] for line in lines]
    assert events == ["signing_key.published", "key.created", "key.created"]
    assert "Traceback" not in complaint


def test_ending_follow_with_ctrl_c_is_how_it_ends(hourpass):
    hourpass.create_key()
    following = subprocess.Popen(
        [HOURPASS, "audit", "--follow"],
        env=hourpass.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=10)
    finally:
        following.kill()
        following.communicate()

    assert (following.returncode, complaint.strip()) == (0, "")


@pytest.fixture
def history(hourpass):
    """Two keys, each with an exchange, a grant that was revoked, and the end of the first key."""
    made = [hourpass.create_key() for _ in range(2)]
    for key in made:
        hourpass.exchange(key["api_key"])
    grants = [hourpass.json("grants", "list", "--key", key["key_id"])[0]["grant_id"] for key in made]
    hourpass("grants", "revoke", grants[1])
    hourpass("keys", "revoke", made[0]["key_id"])
    return [key["key_id"] for key in made], grants


def told(hourpass, *arguments) -> list[tuple[str, str | None]]:
    return [(record["event"], record.get("key_id")) for record in hourpass.json("audit", *arguments)]


def test_the_trail_of_one_key_or_grant_or_event_is_shown_alone(hourpass, history):
    (first, second), grants = history

    assert told(hourpass, "--key", first) == [("key.created", first), ("key.revoked", first)]
    assert told(hourpass, "--grant", grants[1]) == [("grant.revoked", second)]
    assert told(hourpass, "--grant", grants[1].upper()) == [("grant.revoked", second)]
    assert told(hourpass, "--event", "key.created") == [("key.created", first), ("key.created", second)]
    assert told(hourpass, "--key", second, "--event", "key.created") == [("key.created", second)]
    assert told(hourpass, "--key", first, "--event", "grant.revoked") == []


def test_last_counts_what_is_wanted(hourpass, history):
    (first, second), _ = history

    assert told(hourpass, "--event", "key.created", "--last", "1") == [("key.created", second)]
    assert hourpass("audit", "--key", first, "--last", "1").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        (("--since", "1h"), 4),
        (("--until", "1h"), 2),
        (("--since", "40d", "--until", "now"), 6),
        (("--since", "2020-01-01"), 6),
        (("--since", "2020-01-01T08:00:00+02:00", "--until", "2020-01-02"), 0),
        (("--since", "40d", "--last", "1"), 1),
    ],
)
def test_a_time_may_be_a_duration_ago_a_date_or_an_instant(hourpass, arguments, events):
    hourpass.with_server(lambda server: server.create_key(), seconds_ago=3 * 3600)
    for _ in range(4):
        hourpass.create_key()

    assert len(hourpass.json("audit", *arguments)) == events


def test_a_search_without_a_match_says_so_to_people_alone(hourpass):
    hourpass.create_key()
    narrow = ("--event", "key.leaked")

    said = hourpass("audit", *narrow)

    assert (said.stdout, said.stderr) == ("", "No event fulfils all conditions.\n")
    assert hourpass("audit", *narrow, "--json").stderr == hourpass("audit").stderr == ""


def test_since_shows_more_than_the_newest_hundred(hourpass):
    async def make(server):
        for _ in range(120):
            await server.create_key()

    hourpass.with_server(make)

    assert len(hourpass.json("audit")) == 100
    assert len(hourpass.json("audit", "--since", "1h")) == 121


def test_an_old_line_is_shown_with_the_name_of_today_and_found_by_both(hourpass):
    key_id = hourpass.create_key()["key_id"]
    with contextlib.closing(apsw.Connection(str(hourpass.data / "hourpass.db"))) as database:
        old = "key_created", '{"name":"old","actor":"cli:before"}', key_id
        database.execute("update audit set event = ?, detail = ?, actor = null where key_id = ?", old)

    shown = hourpass.json("audit", "--event", "key_created", "--actor", "cli:before")

    assert shown == hourpass.json("audit", "--event", "key.created", "--actor", "cli:b")
    assert [(line["event"], line["key_id"], line["actor"]) for line in shown] == [("key.created", key_id, "cli:before")]
    assert hourpass.json("audit", "--event", "key.created", "--actor", "cli:x") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--event", "key.revokd"), "key.revoked"),
        (("--since", "yesterday"), "2027-01-31"),
        (("--since", "2w"), "such as 15m, 2h or 7d"),
        (("--until", "99999-01-01"), "2027-01-31"),
    ],
)
def test_a_condition_that_cannot_hold_is_wrong_usage(hourpass, arguments, said):
    assert said in hourpass("audit", *arguments, code=2).stderr


def test_following_goes_on_with_what_is_wanted(hourpass):
    key_id = hourpass.create_key()["key_id"]
    command = [HOURPASS, "audit", "--follow", "--json", "--event", "key.revoked", "--data", str(hourpass.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=hourpass.environment) as follower:
        hourpass.create_key()
        hourpass("keys", "revoke", key_id)
        line = json.loads(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)

    assert (line["event"], line["key_id"]) == ("key.revoked", key_id)
