"""Events and webhooks through the admin API, with an admin key that the command line made."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import free_port
from tests.debian import program
from tests.e2e.conftest import PLAIN
from tests.webhooks.receivers import accepts, is_slow, wait_until

EVENTS = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


class Api:
    """The admin API of a server, as an owner sees it."""

    def __init__(self, server, *arguments) -> None:
        made = json.loads(server.command("keys", "create", "--name", "boss", "--json", *arguments).stdout)
        self.url = f"http://{server.admin}"
        answer = httpx2.post(f"{self.url}/auth/api-key", json={"apiKey": made["api_key"]}, **PLAIN)
        self.headers = {"authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    def __call__(self, method, path, body=None, **headers):
        more = {} if body is None else {"json": body}
        return httpx2.request(
            method, f"{self.url}/admin/v1{path}", headers={**self.headers, **headers}, **more, **PLAIN
        )


@pytest.fixture(scope="module")
def server(serve_all, authority):
    """One server for all. Their webhooks are deleted with each test."""
    return serve_all(
        webhook_allow_private="true",
        admin_listen=f"127.0.0.1:{free_port()}",
        environment={"SSL_CERT_FILE": str(authority.file)},
    )


@pytest.fixture(scope="module")
def owner(server):
    return Api(server, "--admin", "owner")


@pytest.fixture
def api(owner):
    yield owner
    for webhook in owner("GET", "/webhooks").json()["data"]:
        owner("DELETE", f"/webhooks/{webhook['webhook_id']}").raise_for_status()


def test_a_webhook_lives_over_http(api, receive):
    receiver = receive()
    created = api("POST", "/webhooks", {"url": receiver.url(), "events": ["key.revoked"]})
    made = created.json()
    path = f"/webhooks/{made['webhook_id']}"
    assert created.status_code == 201
    assert made.pop("secret").startswith("whsec_")
    read = api("GET", path)
    assert (read.json(), api("GET", "/webhooks").json()) == (made, {"data": [made], "next": None})

    changed = api("PATCH", path, {"description": "ops", "events": []}, **{"if-match": read.headers["etag"]})
    assert (changed.status_code, changed.json()["description"]) == (200, "ops")
    assert api("PATCH", path, {"description": "x"}, **{"if-match": read.headers["etag"]}).status_code == 412
    assert api("POST", f"{path}/rotate-secret").json()["secret"].startswith("whsec_")
    tried = api("POST", f"{path}/test")
    assert (tried.status_code, tried.json()["result"], receiver.events()[0]["type"]) == (
        200,
        "delivered",
        "webhook.test",
    )
    assert [each["event"] for each in api("GET", f"{path}/deliveries?limit=5").json()["data"]] == ["webhook.test"]
    assert api("DELETE", path).json() == {"webhook_id": made["webhook_id"]}
    assert api("GET", path).status_code == 404


def test_a_member_that_is_wrong_is_named(api):
    for body, name in (
        ({"url": "http://user@example.com/"}, "url"),
        ({"url": "https://example.com/", "events": ["key_created"]}, "events"),
        ({"url": "https://example.com/", "description": "\x07"}, "description"),
    ):
        answer = api("POST", "/webhooks", body)
        assert (answer.status_code, [each["name"] for each in answer.json()["problems"]]) == (422, [name])


def test_an_auditor_reads_webhooks_and_changes_none(server):
    api = Api(server, "--admin", "auditor")
    assert api("GET", "/webhooks").status_code == 200
    assert api("POST", "/webhooks", {"url": "https://example.com/"}).status_code == 403


def test_who_may_not_change_a_webhook_sees_only_the_origin_of_its_url(server, api):
    """The path can be a secret, as Slack's."""
    url = "https://127.0.0.1:8443/services/SECRET?token=SECRET"
    webhook_id = api("POST", "/webhooks", {"url": url}).json()["webhook_id"]
    auditor = Api(server, "--admin", "auditor")
    path = f"/webhooks/{webhook_id}"

    assert api("GET", path).json()["url"] == url
    assert auditor("GET", path).json()["url"] == "https://127.0.0.1:8443"
    assert all("SECRET" not in auditor("GET", each).text for each in ("/webhooks", path, "/audit?newest=true"))


def test_a_poll_gets_an_event_as_it_happens_and_goes_on_after_it(server, api):
    last = api("GET", "/events").json()["last"]
    answers = []
    poll = threading.Thread(target=lambda: answers.append(api("GET", f"/events?after={last}&wait=20").json()))
    poll.start()
    time.sleep(0.3)
    assert answers == []
    key = server.create_key()
    poll.join(10)

    (answer,) = answers
    (event,) = answer["data"]
    assert (event["type"], event["data"]["key_id"], event["number"]) == ("key.created", key["key_id"], answer["last"])
    assert api("GET", f"/events?after={answer['last']}").json() == {"data": [], "last": answer["last"]}


def test_a_drain_answers_the_polls_that_wait(server, api):
    last = api("GET", "/events").json()["last"]
    answers = []
    poll = threading.Thread(target=lambda: answers.append(api("GET", f"/events?after={last}&wait=30").status_code))
    poll.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert server.stop() == 0
    poll.join(10)
    assert (answers, time.monotonic() - began < 5) == ([200], True)
    server.restart()


def test_endpoints_that_are_tried_and_slow_hold_up_no_other_call_and_more_of_them_are_refused(api, receive):
    slow = receive(is_slow(4))
    made = [api("POST", "/webhooks", {"url": slow.url(path=f"/{n}")}).json()["webhook_id"] for n in range(5)]
    trying = [threading.Thread(target=lambda each=each: api("POST", f"/webhooks/{each}/test")) for each in made[:4]]
    for each in trying:
        each.start()
    wait_until(lambda: len(slow.received) == 4)

    began = time.monotonic()
    refused = [api("POST", f"/webhooks/{each}/test") for each in (made[0], made[4])]
    assert [(each.status_code, each.headers["retry-after"]) for each in refused] == [(429, "5")] * 2
    assert api("GET", "/webhooks").status_code == 200
    assert api("POST", "/webhooks", {"url": slow.url(path="/new")}).status_code == 201
    assert time.monotonic() - began < 2
    for each in trying:
        each.join(10)
    slow.answer = accepts
    assert api("POST", f"/webhooks/{made[0]}/test").json()["result"] == "delivered"


def test_the_script_of_the_page_prints_each_event_once_and_goes_on_where_it_was(server, tmp_path):
    program("curl")
    program("jq")
    [script] = re.findall(r"^```sh\n(umask.*?)^```$", EVENTS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    key = json.loads(server.command("keys", "create", "--name", "poll", "--admin", "auditor", "--json").stdout)
    (tmp_path / "admin.key").write_text(key["api_key"] + "\n")
    out = tmp_path / "out"

    def run_until(condition):
        moved = script.replace("http://127.0.0.1:3601", f"http://{server.admin}")
        with out.open("a") as target:
            process = subprocess.Popen(
                ["sh", "-c", moved], cwd=tmp_path, stdout=target, stderr=subprocess.PIPE, start_new_session=True
            )
        try:
            wait_until(condition)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
        assert key["api_key"].encode() not in errors

    def printed():
        return [json.loads(line) for line in out.read_text().splitlines()]

    made = []
    for _ in range(2):
        made.append(json.loads(server.command("keys", "create", "--name", "x", "--json").stdout)["key_id"])
        last = server.command("audit", "--last", "1").stdout.split()[0]
        run_until(lambda last=last: (tmp_path / "last").exists() and (tmp_path / "last").read_text().strip() == last)
        assert printed()[-1]["data"]["key_id"] == made[-1]
    numbers = [event["number"] for event in printed()]
    assert numbers == sorted(set(numbers))
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.name not in {"admin.key", "out"}} == {0}
