"""No command takes an API key or a token as an argument, and none repeats one that it was given."""

import pytest
from tests.server.conftest import nobodys_key, other_secret

from hourpass.core.api_key import new_api_key

KEY = nobodys_key()
TOKEN = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"
SECRETS = {"key": KEY, "cut key": KEY[:-10], "sandbox key": KEY.replace("production", "sandbox"), "token": TOKEN}
SECRETS["key of another prefix"] = new_api_key("production", bytes(range(32)), "acme9")[1]

PLACES = [
    ("keys", "revoke", "{}"),
    ("keys", "show", "{}"),
    ("keys", "show", "id={}"),
    ("keys", "show", "--", "{}"),
    ("keys", "{}"),
    ("{}",),
    ("keys", "list", "{}"),
    ("keys", "list", "--", "{}"),
    ("keys", "list", "--{}"),
    ("keys", "create", "--name", "{}"),
    ("keys", "create", "--name", "x", "--environment", "{}"),
    ("keys", "create", "--name", "x", "--allow-ip={}"),
    ("keys", "leaked", "{}"),
    ("keys", "pattern", "--key-prefix", "{}"),
    ("grants", "revoke", "{}"),
    ("grants", "show", "{}"),
    ("audit", "--key", "{}"),
    ("audit", "--event", "{}"),
    ("tokens", "revoke", "--issued-before", "{}"),
    ("grants", "list", "--key", "{}"),
    ("signing-keys", "withdraw", "{}", "--yes"),
    ("tokens", "inspect", "{}"),
    ("tokens", "revoke", "{}"),
    ("tokens", "revoke", "--", "{}"),
    ("audit", "--last", "{}"),
    ("config", "show", "--port", "{}"),
    ("backup", "one", "{}"),
    ("refresh", "--url", "{}"),
    ("doctor", "{}"),
]


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_key_or_token_as_an_argument_is_wrong_usage_and_is_not_repeated(newcomer, place, secret):
    result = newcomer(*(part.replace("{}", secret) for part in place), code=2)

    assert result.stdout == ""
    assert secret[-12:] not in result.stderr
    assert secret not in result.stderr
    assert not newcomer.data.exists()


def test_the_refusal_says_what_to_do(newcomer):
    assert "- to read it from standard input" in newcomer("keys", "revoke", KEY, code=2).stderr
    assert "- to read it from standard input" in newcomer("tokens", "inspect", TOKEN, code=2).stderr
    assert "api-key-file" not in newcomer("keys", "show", KEY, code=2).stderr
    assert "use --api-key-file" in newcomer("token", "--url", KEY, code=2).stderr


def test_an_argument_of_another_program_is_its_own_business(newcomer):
    """The command that `hourpass run` starts may take any arguments."""
    result = newcomer("run", "--url", "http://127.0.0.1:9", "--", "echo", KEY, code=30)

    assert "argument" not in result.stderr


@pytest.mark.parametrize("command", ["revoke", "show"])
def test_a_whole_key_is_read_from_standard_input(hourpass, command):
    made = hourpass.create_key()

    result = hourpass("keys", command, "-", "--json", input=f"{made['api_key']}\n")

    assert made["key_id"] in result.stdout
    assert made["api_key"] not in result.stdout + result.stderr
    assert hourpass.json("keys", "show", made["key_id"])["state"] == ("revoked" if command == "revoke" else "active")


@pytest.mark.parametrize("command", ["revoke", "show"])
@pytest.mark.parametrize("given", ["another secret", "nobody's", "an id", "nothing", "a word"])
def test_a_text_that_is_not_a_key_of_this_server_ends_nothing(hourpass, command, given):
    """A made-up secret on a real key id would else let anybody revoke what they know the id of."""
    made = hourpass.create_key()
    texts = {"another secret": other_secret(made["api_key"]), "nobody's": KEY, "an id": made["key_id"], "nothing": ""}

    result = hourpass("keys", command, "-", input=texts.get(given, "é"), code=1)

    assert (result.stdout, result.stderr) == ("", "hourpass: this is not an API key of this server\n")
    assert hourpass.json("keys", "show", made["key_id"])["state"] == "active"


@pytest.mark.parametrize(
    "arguments", [("keys", "show"), ("keys", "revoke"), ("grants", "revoke"), ("signing-keys", "withdraw", "--yes")]
)
def test_a_text_longer_than_an_id_is_not_repeated(hourpass, arguments):
    """The secret part of a key has 32 characters, and no shape by which it could be told."""
    secret = KEY.rpartition("_")[2]

    assert secret not in hourpass(*arguments, secret, code=1).stderr
