"""Every operator command says the same on a database and over a server's admin API, byte for byte.

Only what chance or the clock makes differs: new keys, ids and secrets, and instants some seconds apart.
"""

import functools
import json
import re
from collections.abc import Iterator

import click
import httpx2
import pytest
from tests.admin.both import Both
from tests.server.conftest import nobodys_key

from hourpass.cli import NEVER_OVER_SERVER, OVER_SERVER, command

NEW_KEY = ("api key", "key id")

OF_THIS_MACHINE = {"--data", "--database", "--config"}
"""Options that say where the database is: they do not go with --server."""

SETTINGS = {
    "tokens inspect": {"--issuer", "--audience"},
    "tokens revoke": {"--issuer", "--audience"},
    "signing-keys list": {"--access-token-lifetime"},
}
"""Settings that a command takes on a database. A server has its own."""

DRIVEN: set[str] = set()
"""The commands that some test here drives both ways."""


def drives(*paths: str):
    """A test that gives every option of these commands both ways."""
    DRIVEN.update(paths)

    def decorate(test):
        @functools.wraps(test)
        def driven(both, **fixtures):
            both.given.clear()
            test(both, **fixtures)
            for path in paths:
                words = path.split()
                given = {part for each in both.given if [*each[: len(words)]] == words for part in each}
                assert COMMANDS[path] - given == set(), path

        return driven

    return decorate


def tree(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each command that works over a server, and its options."""
    context = click.Context(group)
    for name in group.list_commands(context):
        words = (*before, name)
        path = " ".join(words)
        if words[0] not in OVER_SERVER or path in NEVER_OVER_SERVER:
            continue
        each = group.get_command(context, name)
        if isinstance(each, click.Group):
            yield from tree(each, words)
        if not isinstance(each, click.Group) or each.invoke_without_command:
            options = {option.opts[0] for option in each.params if isinstance(option, click.Option)}
            yield path, options - OF_THIS_MACHINE - SETTINGS.get(path, set())


COMMANDS = dict(tree(command))


def test_no_command_is_forgotten():
    assert COMMANDS.keys() == DRIVEN
    assert {path.split()[0] for path in COMMANDS} >= OVER_SERVER


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    both = Both(tmp_path_factory.mktemp("both"))
    yield both
    both.server.kill()


@pytest.fixture
def key(both):
    """A new key."""
    return both.create("--scope", "a b", "--tag", "team=video")


def tokens_of(both, key) -> dict:
    return httpx2.post(f"{both.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).json()


@drives("keys list", "keys show")
def test_keys_are_listed_shown_and_found(both, key):
    key_id = key["key_id"]
    both.reads("keys", "list")
    narrow = ("--state", "active", "--subject", key_id, "--tag", "team=video", "--text", "test", "--raw-since", "7d")
    both.reads("keys", "list", *narrow)
    both.reads("keys", "list", "--expires-within", "30d", "--unused-for", "90d", "--external-id", "x", "--next-waits")
    both.reads("keys", "list", "--admin", "any")
    both.reads("keys", "show", key_id)
    both.reads("keys", "show", "-", stdin=key["api_key"])
    both.same("keys", "show", "nobody000000", code=1)
    both.same("keys", "show", "-", stdin=nobodys_key(), code=1)
    both.same("keys", "list", "--state", "strange", code=2)


@drives("keys create")
def test_a_key_is_made(both):
    every = (
        *("--name", "with all", "--environment", "sandbox", "--subject", "acme/1", "--scope", "a b"),
        *("--audience", "https://a", "--claim", "tenant=acme", "--claim-json", "limit=2", "--tag", "team=video"),
        *("--allow-ip", "127.0.0.0/8", "--expires-in", "90d", "--raw-until", "30d", "--retry-window", "30s"),
        *("--access-token-lifetime", "10m", "--self-rotation"),
    )
    both.changes("keys", "create", *every, fresh=NEW_KEY)
    delegated = ("--admin", "operator", "--subject-prefix", "acme/", "--max-scope", "a")
    both.same("keys", "create", "--name", "delegated", *delegated, fresh=NEW_KEY)
    both.same("keys", "create", "--name", "x", "--scope", 'a"b', code=1)
    both.same("keys", "create", "--name", "x", "--admin", "auditor", "--scope", "a", code=1)
    both.same("keys", "create", "--name", "x", "--audience", f"{both.server.url}/admin", code=1)
    both.same("keys", "create", code=2)


@drives("keys update")
def test_a_key_is_changed(both, key):
    key_id = key["key_id"]
    members = (
        *("--name", "new", "--scope", "a", "--audience", "https://a", "--claim", "t=1", "--claim-json", "l=1"),
        *("--tag", "a=b", "--allow-ip", "any", "--expires-in", "never", "--raw-until", "30d", "--retry-window", "30s"),
        *(
            "--access-token-lifetime",
            "default",
            "--self-rotation",
            "--remove-claim",
            "x",
            "--remove-tag",
            "team",
            "--now",
        ),
    )
    both.changes("keys", "update", key_id, *members)
    admin = both.create("--admin", "auditor")["key_id"]
    both.same("keys", "update", admin, "--admin", "operator", "--subject-prefix", "acme/", "--max-scope", "a")
    both.same("keys", "update", key_id, code=2)
    both.same("keys", "update", key_id, "--max-scope", "a", code=1)
    both.same("keys", "update", key_id, "nobody000000", "--name", "x", code=1)


@drives("keys disable", "keys enable", "keys rotate", "keys revoke")
def test_a_key_is_disabled_rotated_and_revoked(both, key):
    key_id, other = key["key_id"], both.create()["key_id"]
    both.same("keys", "disable", key_id)
    both.same("keys", "disable", key_id, other, "--now", "--json")
    both.same("keys", "enable", key_id, other)
    both.same("keys", "enable", key_id, "--json")
    both.same("keys", "rotate", key_id, fresh=NEW_KEY)
    both.same("keys", "rotate", key_id, other, "--overlap", "1h", "--json", fresh=NEW_KEY)
    both.same("keys", "rotate", key_id, "--now", fresh=NEW_KEY)
    both.same("keys", "rotate", key_id, "--now", "--overlap", "1h", code=2)
    both.same("keys", "revoke", "-", "--reason", "leaked", stdin=both.create()["api_key"])
    both.same("keys", "revoke", key_id, other)
    both.same("keys", "revoke", key_id, "--json")
    both.same("keys", "rotate", key_id, code=1)
    both.same("keys", "disable", key_id, code=1)
    both.same("keys", "revoke", "nobody000000", code=1)


@drives("keys leaked")
def test_leaked_keys_are_found_and_ended(both, key):
    text = f"{key['api_key']} {key['api_key']} {nobodys_key()}"
    both.reads("keys", "leaked", "-", stdin=text, code=1)
    both.same("keys", "leaked", "-", "--revoke", stdin=text, code=1)
    both.same("keys", "leaked", "-", "--revoke", "--json", stdin=text)
    both.same("keys", "leaked", "-")
    both.same("keys", "leaked", "missing", code=1)


@drives("keys import")
def test_keys_are_imported(both):
    rows = [{"name": f"row {n}", "key": f"sk_live_{n:032}"} for n in range(3)] + [{"name": ""}]
    (both.files / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (both.files / "hmac").write_text("0" * 64)
    (both.files / "hmac").chmod(0o600)
    ways = ("--format", "jsonl", "--accept-weak", "--hmac-secret-file", "hmac")
    code = both.local("keys", "import", "rows.jsonl", *ways, "--dry-run").code
    both.same("keys", "import", "rows.jsonl", *ways, "--dry-run", code=code)
    both.same("keys", "import", "rows.jsonl", *ways, "--json", code=code)
    both.same("keys", "import", "rows.jsonl", *ways, "--report", "report", code=code, fresh=("key id",))
    both.same("keys", "import", "missing.jsonl", code=1)


@drives("grants list", "grants show", "grants revoke")
def test_grants_are_listed_and_ended(both, key):
    for _ in range(2):
        tokens_of(both, key)
    listed = json.loads(both.remote("grants", "list", "--key", key["key_id"], "--json").out)
    one, other = (grant["grant_id"] for grant in listed)
    both.reads("grants", "list")
    both.reads("grants", "show", one)
    both.changes("grants", "revoke", one)
    both.same("grants", "revoke", other, "--json")
    both.reads("grants", "list", "--all", "--key", key["key_id"])
    both.same("grants", "list", "--key", "nobody000000", code=1)
    both.same("grants", "show", "00" * 16, code=1)
    both.same("grants", "revoke", "not an id", code=1)


@drives("tokens inspect", "tokens revoke")
def test_tokens_are_explained_and_ended(both, key):
    pair, other = tokens_of(both, key), tokens_of(both, key)
    for token in pair["access_token"], pair["refresh_token"]:
        both.reads("tokens", "inspect", "-", stdin=token)
        both.same("tokens", "inspect", "-", stdin=token[:-8] + "AAAAAAAA", code=1)
        both.same("tokens", "revoke", "-", stdin=token)
        both.reads("tokens", "inspect", "-", stdin=token, code=1)
    both.same("tokens", "revoke", "-", "--json", stdin=other["refresh_token"])
    both.reads("tokens", "inspect", "-", stdin=key["api_key"], code=1)
    both.same("tokens", "revoke", "-", stdin="nonsense", code=1)
    both.same("tokens", "revoke", code=2)
    both.same("tokens", "revoke", "--issued-before", "2100-01-01", "--yes", code=1)
    both.changes("tokens", "revoke", "--issued-before", "1h", "--yes")


@drives("signing-keys list", "signing-keys rotate", "signing-keys withdraw")
def test_signing_keys_are_listed_rotated_and_withdrawn(both):
    both.reads("signing-keys", "list")
    both.same("signing-keys", "rotate", fresh=("kid",))
    both.same("signing-keys", "rotate", "--json", code=1)
    waiting = json.loads(both.remote("signing-keys", "list", "--json").out)[-1]["kid"]
    both.same("signing-keys", "withdraw", waiting, code=2)
    both.same("signing-keys", "withdraw", waiting, "--yes", "--json", fresh=("kid",))
    waiting = json.loads(both.remote("signing-keys", "list", "--json").out)[-1]["kid"]
    both.same("signing-keys", "withdraw", waiting, "--yes", fresh=("kid",))
    both.same("signing-keys", "withdraw", "nobody", "--yes", code=1)


@drives("audit", "audit export", "audit verify")
def test_the_trail_is_shown_exported_and_verified(both, key):
    key_id = key["key_id"]
    both.same("keys", "revoke", key_id)
    tokens_of(both, both.create())
    both.reads("audit")
    both.reads("audit", "--last", "2")
    assert re.search(r" actor=key:\w+ actor_name=\S+ ", both.same("audit", "--key", key_id).out)
    both.reads("audit", "--key", key_id, "--event", "key.revoked", "--actor", "key:", "--since", "1h", "--until", "now")
    both.reads("audit", "--grant", "00" * 16)
    both.same("audit", "export", "-")
    narrow = ("--key", key_id, "--event", "key.revoked", "--actor", "key:", "--since", "1h", "--until", "now")
    both.same("audit", "export", "-", *narrow, "--grant", "")
    both.reads("audit", "verify")
    followed = both.follow("--last", "1")
    assert followed[0] == followed[1]
    both.same("audit", "--event", "key.made", code=2)
    both.same("audit", "--since", "soon", code=2)


@drives("overview")
def test_the_overview_has_the_same_numbers(both):
    both.reads("overview")
    both.reads("overview", "--hours", "1")
    both.same("overview", "--hours", "0", code=2)


@drives(
    "webhooks list",
    "webhooks create",
    "webhooks update",
    "webhooks rotate-secret",
    "webhooks deliveries",
    "webhooks test",
    "webhooks delete",
)
def test_webhooks_are_made_changed_tried_and_deleted(both):
    fresh = ("webhook id", "secret")
    url = "http://127.0.0.1:9/nobody-listens"
    both.changes("webhooks", "create", url, "--event", "key.leaked", "--description", "one", fresh=fresh)
    webhook_id, other = (each["webhook_id"] for each in json.loads(both.remote("webhooks", "list", "--json").out))
    both.reads("webhooks", "list")
    both.changes("webhooks", "update", webhook_id, "--url", f"{url}/2", "--description", "two", "--event", "key.leaked")
    both.same("webhooks", "update", webhook_id, "--all-events", "--disable")
    both.changes("webhooks", "rotate-secret", other, fresh=fresh)
    both.same("webhooks", "update", other, "--enable")
    for form in ((), ("--json",)):
        both.same("webhooks", "test", other, *form, fresh=("took",), code=1)
    both.same("webhooks", "deliveries", webhook_id, "--last", "3")
    both.same("webhooks", "deliveries", webhook_id, "--json")
    both.same("webhooks", "create", "http://user@example.com", code=1)
    both.same("webhooks", "create", url, "--event", "key.made", code=2)
    both.same("webhooks", "delete", webhook_id, "--yes")
    both.same("webhooks", "delete", other, "--yes", "--json")
    for name in ("update", "rotate-secret", "test", "deliveries"):
        both.same("webhooks", name, "nobody", *(["--disable"] if name == "update" else []), code=1)
