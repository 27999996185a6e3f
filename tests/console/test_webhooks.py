"""Webhooks in the console: made, tried out, changed and ended there, by a browser with and without JavaScript."""

import json
import re
import threading

import pytest
from markupsafe import escape
from tests.conftest import clean_environment, run_command
from tests.console.conftest import Desk, sign_in, start, watched
from tests.console.test_pages import HOSTILE, intruders, problems_of
from tests.webhooks.receivers import Receiver, is_slow, says, wait_until

from hourpass.server.console.pages.webhook_words import OUTCOMES, hint


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory):
    """A server that sends webhooks to this machine, too."""
    server = start(tmp_path_factory.mktemp("webhooks"), webhook_allow_private="true")
    yield Desk(server)
    server.kill()


@pytest.fixture
def receiver():
    """An endpoint without TLS."""
    found = Receiver(None)
    yield found
    found.close()


def create(desk, url: str, *options: str) -> str:
    """The id of a webhook that was made by the command."""
    environment = clean_environment(HOURPASS_WEBHOOK_ALLOW_PRIVATE="true")
    data = ("--data", str(desk.server.data))
    made = run_command("webhooks", "create", url, "--json", *options, *data, env=environment)
    return json.loads(made.stdout)["webhook_id"]


def words_of(page: str) -> str:
    """The text of a page, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_webhook_lives_its_whole_life_in_the_console(browser, open_desk, receiver, script):
    with watched(browser, open_desk, java_script_enabled=script) as context:
        page = sign_in(context, open_desk)
        page.goto(open_desk.url("/webhooks/new"))
        page.get_by_label("URL").fill("https://user:secret@example.com/")
        page.get_by_label("key.created", exact=True).check()
        page.get_by_role("button", name="Make the webhook").click()
        assert page.locator("#f-url").get_attribute("aria-invalid") == "true"
        assert page.get_by_label("key.created", exact=True).is_checked(), "what was ticked stays"

        page.get_by_label("URL").fill(receiver.url())
        page.get_by_role("button", name="Make the webhook").click()
        secret = page.locator("#secret").inner_text()
        if script:
            assert problems_of(page) == []
        page.get_by_role("link", name="I have it").click()

        page.get_by_role("button", name="Send a test").click()
        assert page.get_by_role("heading", name="The test arrived").is_visible()
        assert [event["type"] for event in receiver.verified(secret)] == ["webhook.test"]
        page.reload()
        assert len(receiver.received) == 1, "a page that is loaded again sends no other test"

        page.get_by_role("link", name="Edit").click()
        assert page.get_by_label("key.created", exact=True).is_checked()
        page.get_by_label("Description").fill("The pager")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_text("The pager").is_visible()

        page.get_by_role("link", name="Rotate the secret").click()
        page.get_by_role("button", name="Make the next secret").click()
        assert page.locator("#secret").inner_text() not in {"", secret}
        page.get_by_role("link", name="I have it").click()
        assert secret not in page.content()

        page.get_by_role("link", name="Disable").click()
        page.get_by_label("to confirm").fill("The pager")
        page.get_by_role("button", name="Disable the webhook").click()
        assert page.get_by_role("heading", name="This webhook is disabled").is_visible()
        page.get_by_role("button", name="Enable").click()

        page.get_by_role("link", name="Delete").click()
        page.get_by_label("to confirm").fill("another")
        page.get_by_role("button", name="Delete the webhook").click()
        assert page.get_by_text("This is not the name.").is_visible()
        page.get_by_label("to confirm").fill("The pager")
        page.get_by_role("button", name="Delete the webhook").click()
        assert page.get_by_text("The webhook is deleted.").is_visible()


def test_a_webhook_that_fails_says_so_in_words_and_how_many_events_wait(open_desk, receiver):
    receiver.answer = says(b"HTTP/1.1 503 Busy\r\n\r\n")
    webhook_id = create(open_desk, receiver.url(), "--event", "key.created")
    visitor = open_desk.visitor().by_link()
    page = visitor.get(f"/webhooks/{webhook_id}")
    answer = visitor.post(f"/webhooks/{webhook_id}/test")
    page = words_of(visitor.get(f"{open_desk.origin}{answer.headers['location']}").text)

    assert "The test did not arrive The endpoint did not take it: 503, after" in page
    for _ in range(2):
        open_desk.server.create_key()
    wait_until(lambda: "Events do not arrive" in visitor.get(f"/webhooks/{webhook_id}").text)
    page = words_of(visitor.get(f"/webhooks/{webhook_id}").text)
    assert re.search(r"The endpoint did not take it: 503, (just now|\d+ s ago) \. The receiver’s log says why\.", page)
    assert re.search(r"The next try (comes (in \d+ s|now) at the latest|is due)\.", page)
    assert "The endpoint did not take it: 503. It began" in words_of(visitor.get("/webhooks").text)
    assert "2 events that it did not get yet are lost to it." in visitor.get(f"/webhooks/{webhook_id}/delete").text


def test_an_auditor_sees_only_the_origin_of_a_webhooks_url(open_desk, receiver):
    webhook_id = create(open_desk, receiver.url(path="/services/SECRET"), "--event", "key.created")
    auditor = open_desk.visitor().by_key(open_desk.admin_key("auditor")["api_key"])
    page = auditor.get(f"/webhooks/{webhook_id}").text

    assert f"Origin of its URL {receiver.url(path='')} " in words_of(page)
    assert "SECRET" not in page + auditor.get("/webhooks").text
    assert "SECRET" in open_desk.visitor().by_link().get(f"/webhooks/{webhook_id}").text


def test_a_webhook_that_was_given_up_says_how_its_last_attempt_went_and_what_to_do(open_desk, receiver):
    receiver.answer = says(b"HTTP/1.1 410 Gone\r\n\r\n")
    webhook_id = create(open_desk, receiver.url(), "--event", "key.created")
    visitor = open_desk.visitor().by_link()
    open_desk.server.create_key()
    wait_until(lambda: "This webhook is disabled" in visitor.get(f"/webhooks/{webhook_id}").text)
    wait_until(lambda: hint("gone", 410) in visitor.get(f"/webhooks/{webhook_id}").text)
    page = words_of(visitor.get(f"/webhooks/{webhook_id}").text)

    assert re.search(r"The endpoint says that it is gone for good, (just now|\d+ s ago) \.", page)
    assert "The next try" not in page


@pytest.mark.parametrize("result", [each for each in OUTCOMES if each not in {"delivered", "status"}])
def test_every_failure_has_a_hint(result):
    assert hint(result, None)


@pytest.mark.parametrize(
    ("status", "says"),
    [(302, "redirect"), (401, "secret"), (403, "secret"), (404, "path"), (429, "too much"), (500, "log"), (199, "log")],
)
def test_a_status_has_a_hint_of_its_own(status, says):
    assert says in hint("status", status)


def test_a_webhook_that_is_being_tried_is_not_tried_again_meanwhile(open_desk, receiver):
    receiver.answer = is_slow(2)
    webhook_id = create(open_desk, receiver.url(), "--event", "key.created")
    visitor = open_desk.visitor().by_link()
    visitor.get(f"/webhooks/{webhook_id}")
    trying = threading.Thread(target=lambda: visitor.post(f"/webhooks/{webhook_id}/test"))
    trying.start()
    wait_until(lambda: receiver.received)
    answer = visitor.post(f"/webhooks/{webhook_id}/test")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    trying.join(10)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url",
    ["https://169.254.169.254/latest", "https://localhost/", "http://192.0.2.1/"],
    ids=["metadata", "own", "http"],
)
def test_a_url_that_is_refused_is_explained_beside_its_field(desk, url):
    visitor = desk.visitor().by_link()
    visitor.get("/webhooks/new")
    answer = visitor.post("/webhooks/new", {"url": url, "event:key.leaked": "yes"})

    assert answer.status_code == 422
    assert 'id="e-url"' in answer.text
    assert f'value="{url}"' in answer.text
    assert "https://localhost" not in desk.server.command("webhooks", "list").stdout


def test_two_people_do_not_undo_each_others_changes(open_desk, receiver):
    webhook_id = create(open_desk, receiver.url(), "--description", "First")
    visitor = open_desk.visitor().by_link()
    tag = re.search(r'name="tag" value="(\w+)"', visitor.get(f"/webhooks/{webhook_id}/edit").text)[1]
    form = {"url": receiver.url(), "tag": tag}

    assert visitor.post(f"/webhooks/{webhook_id}/edit", {**form, "description": "Second"}).status_code == 303
    answer = visitor.post(f"/webhooks/{webhook_id}/edit", {**form, "description": "Third"})
    assert (answer.status_code, "Somebody else changed the webhook" in answer.text) == (422, True)
    assert "Second" in visitor.get(f"/webhooks/{webhook_id}").text


def test_webhooks_on_one_host_are_told_apart_and_a_long_part_of_a_path_is_not_a_title(open_desk):
    secret = "Zx81" * 6
    ids = [create(open_desk, f"https://hooks.invalid/{path}") for path in ("500", "302", f"T1/{secret}")]
    visitor = open_desk.visitor().by_link()
    names = ["hooks.invalid/500", "hooks.invalid/302", "hooks.invalid/T1/Zx81..."]
    listed = visitor.get("/webhooks").text
    for webhook_id, name in zip(ids, names, strict=True):
        assert f'href="/console/webhooks/{webhook_id}">{name}</a>' in listed
        assert f"<h1>{name}</h1>" in visitor.get(f"/webhooks/{webhook_id}").text
        asked = visitor.get(f"/webhooks/{webhook_id}/delete").text
        assert (f"<h1>Delete the webhook: {name}</h1>" in asked, f"Type “{name}” to confirm" in asked) == (True, True)
        assert secret not in asked + listed
    assert visitor.post(f"/webhooks/{ids[0]}/delete", {"confirm": names[1]}).status_code == 422
    auditor = open_desk.visitor().by_key(open_desk.admin_key("auditor")["api_key"])
    assert "hooks.invalid/" not in auditor.get("/webhooks").text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_description_and_a_url_are_only_ever_text(open_desk, text):
    path = re.sub(r"[ #\\]", "", text)
    webhook_id = create(open_desk, f"https://hooks.invalid/{path}", "--description", text)
    open_desk.server.command("webhooks", "update", webhook_id, "--disable")
    visitor = open_desk.visitor().by_link()
    for page in ("/webhooks", *(f"/webhooks/{webhook_id}{part}" for part in ("", "/edit", "/delete"))):
        shown = visitor.get(page).text
        assert str(escape(text)) in shown
        assert intruders(shown) == []
    assert str(escape(path)) in visitor.get(f"/webhooks/{webhook_id}").text
