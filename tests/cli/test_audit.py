"""`hourpass audit`."""

import json
import signal
import subprocess

import pytest
from tests.conftest import HOURPASS


def test_the_trail_is_in_the_order_of_what_happened(hourpass):
    key_id = hourpass.create_key()["key_id"]
    hourpass("keys", "revoke", key_id)

    trail = hourpass.json("audit")

    assert [record["event"] for record in trail] == ["signing_key_published", "key_created", "key_revoked"]
    assert [record["n"] for record in trail] == [1, 2, 3]
    created = trail[1]
    assert created.keys() == {"n", "at", "event", "key_id", "name", "actor"}
    assert created["key_id"] == key_id


def test_the_actor_is_who_sat_at_the_command(hourpass):
    hourpass("keys", "create", "--name", "x", env={"USER": "ada"})

    assert hourpass.json("audit")[-1]["actor"] == "cli:ada"


def test_a_replay_is_in_the_trail_with_its_generations(hourpass, api_key):
    old = hourpass.exchange(api_key, seconds_ago=90).refresh_token
    hourpass.refresh(old, seconds_ago=90)
    with pytest.raises(Exception, match="replayed"):
        hourpass.refresh(old)

    last = hourpass.json("audit")[-1]

    assert last["event"] == "refresh_replayed"
    assert (last["presented_generation"], last["current_generation"]) == (0, 1)


def test_last_says_how_many_to_begin_with(hourpass):
    hourpass.create_key()
    hourpass.create_key()

    assert [record["n"] for record in hourpass.json("audit", "--last", "2")] == [2, 3]


def test_the_trail_holds_no_key_and_no_token(hourpass, api_key):
    pair = hourpass.exchange(api_key)
    hourpass("tokens", "revoke", pair.refresh_token.decode())

    trail = hourpass("audit").stdout

    assert "grant_revoked" in trail
    for secret in (api_key, pair.access_token.decode(), pair.refresh_token.decode()):
        assert secret.rpartition("_")[2] not in trail


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

    events = [json.loads(line)["event"] if as_json else line.split()[1] for line in lines]
    assert events == ["signing_key_published", "key_created", "key_created"]
    assert "Traceback" not in complaint


def test_ending_follow_with_ctrl_c_is_how_it_ends(hourpass):
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
