"""`hourpass keys pattern` and `hourpass keys leaked`: rules for scanners, and what they found."""

import json
import re
import subprocess
import time
import tomllib

import apsw
import pytest
from tests.conftest import HOURPASS
from tests.server.conftest import nobodys_key, other_secret

NOTHING = {"keys": [], "strangers": 0}


def leaked(hourpass, text: str | bytes, *arguments: str, code: int) -> dict:
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return json.loads(hourpass("keys", "leaked", "-", "--json", *arguments, input=text, code=code).stdout)


@pytest.fixture
def keys(hourpass):
    """A good key, and one for each reason why a key is refused."""
    made = {
        name: hourpass.create_key("--subject", f"account of {name}".replace(" ", "-")) for name in ("good", "ended")
    }
    hourpass("keys", "revoke", made["ended"]["key_id"])
    return made


def test_the_keys_in_a_finding_are_named_with_their_state_and_whose_they_are(hourpass, keys):
    text = f"a.py:3: key = '{keys['good']['api_key']}'\nb.env: KEY={keys['ended']['api_key']} {nobodys_key()}"

    found = leaked(hourpass, text, code=1)

    assert [(key["key_id"], key["subject"], key["state"]) for key in found["keys"]] == [
        (keys["good"]["key_id"], "account-of-good", "active"),
        (keys["ended"]["key_id"], "account-of-ended", "revoked"),
    ]
    assert found["strangers"] == 1
    assert hourpass.json("keys", "show", keys["good"]["key_id"])["state"] == "active"


def test_only_a_good_key_makes_the_exit_code_1(hourpass, keys):
    assert leaked(hourpass, "nothing", code=0) == NOTHING
    assert len(leaked(hourpass, keys["ended"]["api_key"], code=0)["keys"]) == 1
    assert leaked(hourpass, nobodys_key(), code=0) == {**NOTHING, "strangers": 1}


def test_a_made_up_secret_on_a_real_key_id_is_a_stranger(hourpass, keys):
    guess = other_secret(keys["good"]["api_key"])

    assert leaked(hourpass, guess, "--revoke", code=0) == {**NOTHING, "strangers": 1}
    assert hourpass.json("keys", "show", keys["good"]["key_id"])["state"] == "active"


def test_revoke_ends_what_was_found_and_says_why(hourpass, keys):
    found = leaked(hourpass, f"{keys['good']['api_key']} {keys['ended']['api_key']}", "--revoke", code=1)

    assert [key["revoked"] for key in found["keys"]] == [True, False]
    shown = hourpass.json("keys", "show", keys["good"]["key_id"])
    assert (shown["state"], shown["revoked_why"]) == ("revoked", "leaked")
    assert hourpass.json("keys", "show", keys["ended"]["key_id"])["revoked_why"] == "revoked"
    event = hourpass.json("audit")[-1]
    assert (event["event"], event["key_id"], event["reason"]) == ("key.revoked", keys["good"]["key_id"], "leaked")


def test_a_table_says_in_words_whether_a_key_was_revoked(hourpass, keys):
    found = f"{keys['good']['api_key']} {keys['ended']['api_key']}"

    _, *rows = hourpass("keys", "leaked", "-", "--revoke", input=found, code=1).stdout.splitlines()

    assert [row.split()[-1] for row in rows] == ["yes", "no"]


def test_one_is_counted_in_the_singular(hourpass, keys):
    told = hourpass("keys", "leaked", "-", input=f"{keys['good']['api_key']} {nobodys_key()}", code=1).stderr

    assert "1 key of this server, and 1 text that only looks like one." in told


def test_a_key_that_came_twice_is_told_once(hourpass, keys):
    text = f"{keys['good']['api_key']}\n" * 3 + nobodys_key() * 2

    found = leaked(hourpass, text, code=1)

    assert (len(found["keys"]), found["strangers"]) == (1, 1)


@pytest.mark.parametrize("offset", [-60, -30, -1, 0, 1])
def test_a_key_that_lies_across_two_blocks_of_a_large_file_is_found(hourpass, keys, tmp_path, offset):
    file = tmp_path / "findings.txt"
    file.write_text("." * ((1 << 20) + offset) + keys["good"]["api_key"] + "." * (1 << 20))

    found = json.loads(hourpass("keys", "leaked", str(file), "--json", code=1).stdout)

    assert [key["key_id"] for key in found["keys"]] == [keys["good"]["key_id"]]


def test_any_bytes_may_surround_a_key(hourpass, keys, tmp_path):
    file = tmp_path / "findings.bin"
    file.write_bytes(bytes(range(256)) + keys["good"]["api_key"].encode() + b"\xff\x00")

    hourpass("keys", "leaked", str(file), code=1)


def test_the_last_use_is_shown(hourpass, keys):
    at = 1_800_000_000_000
    hourpass("keys", "show", keys["good"]["key_id"])
    with apsw.Connection(str(hourpass.data / "hourpass.db")) as db:
        for kind, when, address in (("raw", at, bytes([192, 0, 2, 7])), ("exchanged", at - 1, None)):
            db.execute("insert into key_uses values (?, ?, ?, ?)", (keys["good"]["key_id"], kind, when, address))

    (key,) = leaked(hourpass, keys["good"]["api_key"], code=1)["keys"]

    assert (key["last_used"], key["last_how"], key["last_from"]) == ("2027-01-15T08:00:00Z", "raw", "192.0.2.7")


def test_neither_form_prints_a_key_or_what_only_looked_like_one(hourpass, keys):
    texts = [keys["good"]["api_key"], keys["ended"]["api_key"], nobodys_key()]
    for arguments in ((), ("--json",), ("--revoke",)):
        result = hourpass(
            "keys", "leaked", "-", *arguments, input=" ".join(texts), code=0 if "done" in arguments else 1
        )
        assert not [text for text in texts if text[-20:] in result.stdout + result.stderr]


def test_a_person_is_told_that_imported_keys_are_not_found(hourpass):
    hourpass.create_key()

    assert "Imported keys" in hourpass("keys", "leaked", "-", input="").stderr


def test_a_file_that_is_not_there_is_an_error_that_does_not_repeat_its_name(hourpass):
    """It may be an imported key, which has no shape by which it could be told from a name."""
    result = hourpass("keys", "leaked", "sk_live_4242424242424242", code=1)

    assert "cannot read the file: No such file" in result.stderr
    assert "sk_live" not in result.stdout + result.stderr


@pytest.mark.parametrize("arguments", [("leaked", "-", "--revoke"), ("show", "-"), ("revoke", "-")], ids=" ".join)
def test_a_pipe_that_takes_its_time_holds_up_no_server(hourpass, keys, arguments):
    command = [HOURPASS, "keys", *arguments, "--data", str(hourpass.data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=hourpass.environment) as waiting:
        time.sleep(1)
        assert waiting.poll() is None
        hourpass.create_key()  # a write, which would wait for a transaction that is open
        waiting.communicate(keys["good"]["api_key"])

    assert waiting.returncode == (1 if "leaked" in arguments else 0)


def test_the_rules_find_the_keys_that_are_made_with_the_prefix(hourpass):
    (hourpass.data / "hourpass.toml").write_text('key_prefix = "acme"\n')
    key = hourpass.create_key()["api_key"]
    rules = hourpass.json("keys", "pattern")

    assert key.startswith("acme_production_")
    assert re.findall(rules["regex"], f"K={key};") == [key]
    (rule,) = tomllib.loads(rules["gitleaks"])["rules"]
    assert re.search(rule["regex"], f"K={key};")[1] == key
    assert any(word in key for word in rule["keywords"])
    expression = re.search(r"key: '(.*)'", rules["trufflehog"])[1]
    assert re.search(expression, f"K={key};")[1] == key
    assert re.fullmatch(re.search("Secret format: (.*)", rules["github"])[1], key)


@pytest.mark.parametrize("scanner", ["gitleaks", "trufflehog", "github"])
def test_one_scanners_rules_are_printed_alone(newcomer, scanner):
    rules = newcomer.json("keys", "pattern")

    assert newcomer("keys", "pattern", "--for", scanner).stdout == rules[scanner] + "\n"
    assert rules[scanner] in newcomer("keys", "pattern").stdout
    assert "acme_sandbox_" in newcomer("keys", "pattern", "--for", "gitleaks", "--key-prefix", "acme").stdout


def test_keys_with_an_earlier_prefix_stay_valid(hourpass):
    old = hourpass.create_key()["api_key"]
    (hourpass.data / "hourpass.toml").write_text('key_prefix = "acme"\n')

    hourpass.exchange(old)
    assert hourpass.json("keys", "show", "-", input=old)["state"] == "active"


@pytest.mark.parametrize("prefix", ["", "Acme", "1a", "a_b", "abcdefghijklmnopq"])
def test_a_prefix_that_would_break_the_shape_is_refused(hourpass, prefix):
    assert "key_prefix" in hourpass("config", "check", "--key-prefix", prefix, code=1).stderr


WAITING = [
    ("keys", "leaked", "-"),
    ("keys", "leaked", "-", "--revoke"),
    ("keys", "show", "-"),
    ("keys", "revoke", "-"),
    ("keys", "rotate", "-"),
    ("tokens", "inspect", "-"),
    ("tokens", "revoke", "-"),
]


@pytest.mark.parametrize("arguments", WAITING, ids=" ".join)
def test_the_database_does_not_wait_for_the_input(hourpass, api_key, arguments):
    """A transaction that waits for standard input would stop the server."""
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [HOURPASS, *arguments]
    with subprocess.Popen(command, env=hourpass.environment, stdin=subprocess.PIPE, **nowhere) as waiting:
        waiting.stdin.write(b"hp_")
        waiting.stdin.flush()
        time.sleep(0.7)  # by now it has started, and waits for the rest
        assert waiting.poll() is None

        hourpass.exchange(api_key)

        waiting.stdin.close()
        waiting.wait(20)


@pytest.mark.parametrize("how", ["expired", "disabled"])
def test_a_leaked_key_that_could_come_back_is_ended(hourpass, how):
    made = hourpass.create_key(*(("--expires-in", "1s") if how == "expired" else ()))
    if how == "disabled":
        hourpass("keys", "disable", made["key_id"])
    else:
        time.sleep(1.1)

    leaked(hourpass, made["api_key"], "--revoke", code=0)

    shown = hourpass.json("keys", "show", made["key_id"])
    assert (shown["state"], shown["revoked_why"]) == ("revoked", "leaked")
