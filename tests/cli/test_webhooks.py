"""`hourpass webhooks`: an operator makes, changes, tests, rotates and deletes webhooks, and sees how they do."""

import json
import re

import pytest
from tests.conftest import clean_environment, run_command
from tests.webhooks.certificates import Authority
from tests.webhooks.receivers import Receiver, hangs_up


@pytest.fixture
def hourpass(tmp_path):
    data = tmp_path / "data"
    trusted = Authority(tmp_path)
    environment = clean_environment(SSL_CERT_FILE=str(trusted.file), HOURPASS_WEBHOOK_ALLOW_PRIVATE="true")

    def command(*arguments, check=True, **more):
        return run_command(*arguments, "--data", str(data), check=check, env={**environment, **more})

    command.trusted = trusted
    command("keys", "create", "--name", "first", "--json")
    return command


@pytest.fixture
def receiver(hourpass):
    receiver = Receiver(hourpass.trusted.certificate("127.0.0.1"))
    yield receiver
    receiver.close()


def create(hourpass, url, *arguments):
    return json.loads(hourpass("webhooks", "create", url, *arguments, "--json").stdout)


def test_a_webhook_is_made_changed_and_deleted_and_its_secret_is_shown_only_when_it_is_made(hourpass, receiver):
    made = create(
        hourpass, receiver.url(), "--event", "key.created", "--event", "key.revoked", "--description", "a – b"
    )
    webhook_id, secret = made["webhook_id"], made.pop("secret")
    assert secret.startswith("whsec_")
    assert (made["events"], made["description"]) == (["key.created", "key.revoked"], "a – b")

    listed = hourpass("webhooks", "list").stdout
    assert json.loads(hourpass("webhooks", "list", "--json").stdout) == [made]
    updated = hourpass("webhooks", "update", webhook_id, "--all-events", "--disable").stdout
    assert re.search("^events +all$", updated, re.MULTILINE)
    disabled = hourpass("webhooks", "list").stdout
    rotated = json.loads(hourpass("webhooks", "rotate-secret", webhook_id, "--json").stdout)
    again = json.loads(hourpass("webhooks", "update", webhook_id, "--enable", "--json").stdout)
    assert (again["events"], again["disabled_at"]) == ([], None)
    assert again["old_secrets_until"] == rotated["old_secrets_until"]
    assert rotated["secret"] != secret
    assert "disabled (operator)" in disabled
    trail = hourpass("audit", "--json").stdout
    assert all(secret not in text and rotated["secret"] not in text for text in (listed, disabled, trail))

    hourpass("webhooks", "delete", webhook_id, "--yes")
    assert json.loads(hourpass("webhooks", "list", "--json").stdout) == []
    events = [each["event"] for each in json.loads(hourpass("audit", "--json").stdout)]
    assert events[2:] == [
        f"webhook.{what}" for what in ("created", "updated", "disabled", "rotated", "enabled", "deleted")
    ]


def test_a_test_event_arrives_signed_and_a_failure_exits_with_1(hourpass, receiver):
    made = create(hourpass, receiver.url())
    tried = json.loads(hourpass("webhooks", "test", made["webhook_id"], "--json").stdout)
    (event,) = receiver.verified(made["secret"])
    assert (event["type"], event["number"], event["data"]["detail"]) == (
        "webhook.test",
        0,
        {"webhook_id": made["webhook_id"]},
    )
    assert (tried["result"], tried["status"]) == ("delivered", 204)

    receiver.answer = hangs_up
    table = hourpass("webhooks", "deliveries", made["webhook_id"]).stdout
    assert re.search(r" \d+ ms$", table, re.MULTILINE)
    failed = hourpass("webhooks", "test", made["webhook_id"], "--json", check=False)
    assert (failed.returncode, json.loads(failed.stdout)["result"]) == (1, "broken")
    found = json.loads(hourpass("webhooks", "deliveries", made["webhook_id"], "--json").stdout)
    assert [(each["event"], each["result"]) for each in found] == [
        ("webhook.test", "broken"),
        ("webhook.test", "delivered"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("create", "https://127.1/"), 1, "is not a public address"),
        (("create", "http://example.com/"), 1, "must begin with https://"),
        (("create", "https://example.com/", "--event", "key_created"), 2, "did you mean key.created?"),
        (("update", "wh_0", "--event", "key.created", "--all-events"), 2, "give --event or --all-events"),
        (("update", "wh_0"), 2, "say what to change"),
        (("update", "wh_0", "--disable"), 1, "no webhook has the id 'wh_0'"),
        (("deliveries", "wh_0"), 1, "no webhook has the id 'wh_0'"),
        (("test", "wh_0"), 1, "no webhook has the id 'wh_0'"),
        (("delete", "wh_0", "--yes"), 1, "no webhook has the id 'wh_0'"),
    ],
)
def test_what_is_wrong_is_said_in_words(hourpass, arguments, code, words):
    done = hourpass("webhooks", *arguments, check=False, HOURPASS_WEBHOOK_ALLOW_PRIVATE="false")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
