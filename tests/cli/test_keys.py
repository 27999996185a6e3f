"""`hourpass keys`."""

import base64
import hashlib
import json

import httpx2
import pytest
from tests.server.test_imported_keys import TEXT, import_key

from hourpass.core.api_key import is_well_formed
from hourpass.core.key_hash import PLAIN, KeyHash

FACTS = {
    "key_id",
    "name",
    "environment",
    "subject",
    "scope",
    "audience",
    "audiences",
    "claims",
    "tags",
    "external_id",
    "state",
    "retry_window",
    "access_token_lifetime",
    "allowed_ips",
    "self_rotation",
    "created_at",
    "expires_at",
    "raw_until",
    "disabled_at",
    "revoked_at",
    "revoked_why",
    "next_secret_at",
    "old_secret_until",
    "admin",
    "subject_prefix",
    "max_scope",
}


def test_create_answers_the_key_and_everything_that_is_kept_of_it(hourpass):
    created = hourpass.json(
        *(
            "keys",
            "create",
            "--name",
            "nightly job",
            "--scope",
            "b a",
            "--environment",
            "sandbox",
            "--subject",
            "acct-7",
        ),
        *("--audience", "https://api.example.com", "--expires-in", "90d", "--retry-window", "5s"),
        *("--allow-ip", "10.0.0.0/8", "--allow-ip", "2001:db8::/32"),
    )

    assert created.keys() == FACTS | {"api_key"}
    assert created["api_key"].startswith(f"hp_sandbox_{created['key_id']}_")
    assert created["name"] == "nightly job"
    assert created["scope"] == "a b"
    assert created["subject"] == "acct-7"
    assert created["audience"] == "https://api.example.com"
    assert created["retry_window"] == 5
    assert created["allowed_ips"] == ["10.0.0.0/8", "2001:db8::/32"]
    assert created["state"] == "active"
    assert created["created_at"] < created["expires_at"]


def test_a_plain_key_is_for_production_speaks_for_itself_and_never_expires(hourpass):
    created = hourpass.create_key()

    assert created["environment"] == "production"
    assert created["subject"] == created["key_id"]
    assert created["scope"] == ""
    assert [created[name] for name in ("audience", "retry_window", "expires_at", "revoked_at")] == [None] * 4


def test_a_created_key_is_shown_once_and_to_a_person_with_a_warning_on_stderr(hourpass):
    result = hourpass("keys", "create", "--name", "test")

    api_key = result.stdout.splitlines()[0].split()[-1]
    assert is_well_formed(api_key)
    assert "shown only this once" in result.stderr
    secret = api_key.rsplit("_", 1)[1]
    for arguments in (("list",), ("list", "--json"), ("show", api_key.split("_")[2], "--json")):
        assert secret not in hourpass("keys", *arguments).stdout


def test_list_answers_every_key_with_the_same_facts(hourpass):
    first, second = hourpass.create_key(), hourpass.create_key("--scope", "a")

    listed = hourpass.json("keys", "list")

    assert sorted(listed, key=lambda key: key["key_id"]) == sorted(
        ({**{name: key[name] for name in FACTS}, "last_used": {}} for key in (first, second)),
        key=lambda key: key["key_id"],
    )


def test_an_empty_list_is_an_empty_list(hourpass):
    hourpass.create_key()

    assert hourpass.json("keys", "list", "--state", "revoked") == []


def test_show_adds_how_many_live_grants_the_key_has(hourpass):
    """A grant that nobody refreshed for 30 days has ended."""
    created = hourpass.create_key()
    hourpass.exchange(created["api_key"], seconds_ago=31 * 86_400)
    hourpass.exchange(created["api_key"])
    hourpass.exchange(created["api_key"])

    shown = hourpass.json("keys", "show", created["key_id"])

    assert shown == {**{name: created[name] for name in FACTS}, "grants": 2, "last_used": shown["last_used"]}


def test_revoke_ends_the_key_and_says_whether_it_did(hourpass):
    key_id = hourpass.create_key()["key_id"]

    assert hourpass.json("keys", "revoke", key_id) == {"key_id": key_id, "revoked": True}
    assert hourpass.json("keys", "revoke", key_id) == {"key_id": key_id, "revoked": False}
    shown = hourpass.json("keys", "show", key_id)
    assert shown["state"] == "revoked"
    assert shown["revoked_at"] is not None
    assert shown["revoked_why"] == "revoked"


def test_a_key_is_revoked_because_it_leaked(hourpass):
    key_id = hourpass.create_key()["key_id"]

    hourpass("keys", "revoke", key_id, "--reason", "leaked")

    assert hourpass.json("keys", "show", key_id)["revoked_why"] == "leaked"


def test_revoke_talks_on_stderr(hourpass):
    key_id = hourpass.create_key()["key_id"]

    result = hourpass("keys", "revoke", key_id)

    assert (result.stdout, result.stderr) == ("", f"Database: {hourpass.name}\n{key_id} is revoked.\n")


@pytest.mark.parametrize("arguments", [("list",), ("show",)], ids=lambda arguments: arguments[0])
def test_the_human_form_names_what_it_shows(hourpass, arguments):
    key_id = hourpass.create_key()["key_id"]

    shown = hourpass("keys", *arguments, *([key_id] if arguments == ("show",) else [])).stdout

    assert "key_id" in shown
    assert key_id in shown
    assert "active" in shown


def test_a_mapped_address_is_kept_as_the_ipv4_address(hourpass):
    created = hourpass.create_key("--allow-ip", "::ffff:203.0.113.5", "--allow-ip", "203.0.113.5")

    assert created["allowed_ips"] == ["203.0.113.5/32"]


@pytest.mark.parametrize("entry", ["203.0.113.5:443", "[2001:db8::1]", "203.0.113.5/24", "office"])
def test_a_text_that_is_not_a_network_is_wrong_usage(hourpass, entry):
    hourpass("keys", "create", "--name", "x", "--allow-ip", entry, code=2)


def test_a_list_is_shown_as_it_is_typed_and_an_empty_one_as_a_dash(hourpass):
    bound = hourpass.create_key("--allow-ip", "10.0.0.0/8", "--allow-ip", "2001:db8::/32")
    free = hourpass.create_key()

    def shown(key: dict[str, object]) -> str:
        lines = hourpass("keys", "show", str(key["key_id"])).stdout.splitlines()
        return next(line.split(maxsplit=1)[1] for line in lines if line.startswith("allowed_ips"))

    assert shown(bound) == "10.0.0.0/8 2001:db8::/32"
    assert shown(free) == "-"


@pytest.mark.parametrize("hashed_by", [PLAIN, KeyHash("sha256")], ids=lambda each: each.name)
def test_an_imported_key_is_found_by_its_text(hourpass, hashed_by):
    async def add(server):
        server.later = lambda seconds: server.app.issuer.verification.observe(server.clock())
        await import_key(server, hashed_by=hashed_by)

    hourpass.with_server(add)

    assert hourpass.json("keys", "show", "-", input=f"{TEXT}\n")["key_id"] == "imported0001"
    assert hourpass.json("keys", "revoke", "-", input=TEXT) == {"key_id": "imported0001", "revoked": True}
    result = hourpass("keys", "show", "-", input=TEXT[:-1] + "x", code=1)
    assert (result.stdout, result.stderr) == ("", "hourpass: this is not an API key of this server\n")
    assert hourpass.json("keys", "show", "imported0001")["revoked_why"] == "revoked"


def test_show_and_list_say_when_a_key_was_last_used_how_and_from_where(hourpass):
    """The server writes it when it ends, at any time."""
    used, idle = hourpass.create_key(), hourpass.create_key()
    hourpass.exchange(used["api_key"], seconds_ago=60)

    shown = hourpass.json("keys", "show", used["key_id"])["last_used"]
    assert shown.keys() == {"exchanged"}
    assert shown["exchanged"].keys() == {"at", "address"}
    listed = {fact["key_id"]: fact["last_used"] for fact in hourpass.json("keys", "list")}
    assert listed == {used["key_id"]: shown, idle["key_id"]: {}}
    assert f"{shown['exchanged']['at']} exchanged" in hourpass("keys", "list").stdout
    assert f"{shown['exchanged']['at']} exchanged" in hourpass("keys", "show", used["key_id"]).stdout


def test_list_finds_keys_that_are_sent_themselves_and_keys_that_nobody_uses(hourpass):
    raw, exchanged, old = (hourpass.create_key() for _ in range(3))
    hourpass.create_key()

    async def work(server):
        transport = httpx2.ASGITransport(app=server.app, client=("192.0.2.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as http:
            assert (await http.get("/auth/verify", auth=(raw["api_key"], ""))).status_code == 204

    hourpass.with_server(work, seconds_ago=3600)
    hourpass.exchange(exchanged["api_key"])
    hourpass.exchange(old["api_key"], seconds_ago=90 * 86_400)

    def found(*flags):
        return {fact["key_id"] for fact in hourpass.json("keys", "list", *flags)}

    assert found("--raw-since", "2h") == {raw["key_id"]}
    assert found("--raw-since", "30m") == set()
    assert found("--unused-for", "30d") == {old["key_id"]}
    assert found("--unused-for", "1h", "--raw-since", "2h") == {raw["key_id"]}
    last = hourpass.json("keys", "show", raw["key_id"])["last_used"]["raw"]
    assert last["address"] == "192.0.2.1"


def test_an_imported_key_with_a_slow_hash_is_found_before_its_first_use(hourpass):
    hashed = hashlib.pbkdf2_hmac("sha256", TEXT.encode(), b"salt", 1_000)
    row = {
        "hash": f"pbkdf2_sha256$1000$salt${base64.b64encode(hashed).decode()}",
        "algorithm": "django",
        "lookup": TEXT[:8],
        "name": "slow",
    }
    hourpass("keys", "import", "-", "--format", "jsonl", input=json.dumps(row))

    shown = hourpass.json("keys", "show", "-", input=TEXT)
    assert shown["name"] == "slow"
    assert "not an API key" in hourpass("keys", "show", "-", input=TEXT[:-1] + "x", code=1).stderr
    assert hourpass.json("keys", "revoke", "-", input=TEXT)["revoked"] is True


@pytest.mark.usefixtures("was_started")
def test_a_list_without_an_entry_says_so_and_prints_no_header(hourpass):
    for arguments, words in ((("keys", "list", "--text", "zzz"), "API key"), (("grants", "list"), "grant")):
        found = hourpass(*arguments)
        assert (found.stdout, found.stderr) == ("", f"No {words} fulfils all conditions.\n")
