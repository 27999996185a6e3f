"""The audit trail in the console: found, followed, taken along and verified."""

import html
import json
import re
from html import unescape

import apsw
import pytest
from markupsafe import escape
from tests.console.conftest import sign_in, watched
from tests.console.test_pages import HOSTILE, intruders

from hourpass.admin import shapes
from hourpass.server.console.pages import audit as audit_page
from hourpass.server.console.pages.audit import EXPORTED, newest_lines
from hourpass.server.console.signed_in import is_long


def key_ids(desk, many: int = 1) -> list[str]:
    return [desk.server.create_key()["key_id"] for _ in range(many)]


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"number (\d+)</span>", page)]


def test_a_line_is_found_by_each_condition_of_the_command(desk):
    one, other = key_ids(desk, 2)
    desk.server.command("keys", "revoke", one)
    visitor = desk.visitor().by_link()

    page = visitor.get(f"/audit?key={one}&event=key.revoked&actor=cli:&since=24h").text
    assert page.count(f"/keys/{one}") == 1
    assert other not in page
    assert "No line is like that" in visitor.get(f"/audit?key={one}&until=1h").text
    assert "No line is like that" in visitor.get(f"/audit?key={one}&actor=client").text
    assert one in visitor.get(f"/audit?key={one}&event=key_revoked").text, "older programs spelt it so"


@pytest.mark.parametrize(
    "query", ["since=tomorrow", "until=%00", "event=key.lost", "cursor=z9", "since=99999999-01-01"]
)
def test_a_condition_that_cannot_be_read_is_explained(desk, query):
    answer = desk.visitor().by_link().get(f"/audit?{query}")

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text


def test_the_key_of_a_line_and_the_admin_key_that_acted_are_links_with_their_names(desk):
    ada = desk.admin_key("operator", "--name", "Ada")
    acme = desk.server.create_key("--name", "Acme", "--subject", "acme/1")["key_id"]
    visitor = desk.visitor().by_key(ada["api_key"])
    visitor.get(f"/keys/{acme}/revoke")
    assert visitor.post(f"/keys/{acme}/revoke", {"confirm": "Acme"}).status_code == 303
    page = visitor.get(f"/audit?key={acme}&event=key.revoked").text

    assert re.search(rf'href="/console/keys/{acme}">Acme</a>', page)
    assert re.search(rf'href="/console/keys/{ada["key_id"]}">key:{ada["key_id"]}</a>', page)
    by = re.search(r'href="/console(/audit\?[^"]+)" title="Only what it did">Ada</a>', page)[1]
    assert {"event=key.revoked", f"actor=key%3A{ada['key_id']}"} <= set(unescape(by).partition("?")[2].split("&"))
    did = re.search(r'href="/console(/audit\?actor=[^"]+)">What it did<', visitor.get(f"/keys/{ada['key_id']}").text)[1]
    assert set() < set(numbers(visitor.get(unescape(by)).text)) < set(numbers(visitor.get(did).text))
    delegated = desk.admin_key("operator", "--subject-prefix", "acme/", "--max-scope", "")
    page = desk.visitor().by_key(delegated["api_key"]).get(f"/audit?key={acme}").text
    assert ">Acme</a>" in page
    assert "Ada" not in page


def test_older_lines_are_on_the_next_page(own_desk):
    made = own_desk.server.command("webhooks", "create", "https://hooks.invalid/", "--json").stdout
    webhook_id = json.loads(made)["webhook_id"]
    visitor = own_desk.visitor().by_link()
    for act in ("disable", "enable") * 26:
        visitor.post(f"/webhooks/{webhook_id}/{act}", {"confirm": "hooks.invalid"})
    first = visitor.get("/audit?actor=cli:").text
    older = re.search(r'href="(\?[^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    second = visitor.get(f"/audit{older}").text

    assert "webhook.created" not in first.partition('id="trail"')[2]
    assert "webhook.created" in second.partition('id="trail"')[2]
    found = numbers(first) + numbers(second)
    assert len(numbers(first)) == 50
    assert len(first.encode()) < 60_000, "with its files a page stays below 100 KB"
    assert found == sorted(set(found), reverse=True)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_followed_trail_shows_new_lines(browser, desk, script):
    with watched(browser, desk, java_script_enabled=script) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/audit?event=key.created"))
        page.get_by_role("link", name="Follow").click()
        page.get_by_role("link", name="Stop").wait_for()
        [key_id] = key_ids(desk)
        if not script:
            page.get_by_role("link", name="Reload").click()
        made = page.locator(f"a[href$='/keys/{key_id}']")
        made.wait_for()
        assert page.get_by_text("live", exact=True).is_visible() == script
        made.focus()
        if script:
            with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
                pass
            page.wait_for_function("document.activeElement.id.startsWith('k')")
        page.get_by_role("link", name="Stop").click()
        assert page.locator("#event").input_value() == "key.created", "the filters stay"


def test_an_export_has_the_lines_that_the_command_exports(desk):
    [key_id] = key_ids(desk)
    desk.server.command("keys", "revoke", key_id)
    answer = desk.visitor().by_link().get(f"/audit/export?key={key_id}")
    expected = desk.server.command("audit", "export", "-", "--key", key_id).stdout

    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-2')
    assert [json.loads(line) for line in answer.text.splitlines()] == [json.loads(x) for x in expected.splitlines()]
    assert [json.loads(line)["event"] for line in answer.text.splitlines()] == ["key.created", "key.revoked"]


@pytest.mark.parametrize(
    ("many", "pages", "exported", "is_whole"),
    [(EXPORTED, 50, EXPORTED, True), (EXPORTED + 1, 51, EXPORTED, False), (0, 1, 0, True), (None, 100, 0, False)],
    ids=["all", "one more", "none", "none as far as it looks"],
)
def test_an_export_has_so_many_lines_at_most_and_says_whether_older_ones_are_missing(many, pages, exported, is_whole):
    asked, numbers, told = shapes.ListAudit(newest=True), list(range(many or 0)), []

    def ask():
        told.append(asked.cursor)
        found = [numbers.pop() for _ in range(min(asked.limit, len(numbers)))]
        is_last = many is not None and not numbers
        return shapes.AuditPage(data=found[::-1], next=None if is_last else str(len(told)), last=0)

    lines, whole = newest_lines(asked, ask)

    assert (len(lines), whole) == (exported, is_whole)
    assert lines == list(range(many or 0))[-EXPORTED:]
    assert told == [None, *map(str, range(1, pages))]


def test_a_search_tells_the_command_that_exports_all_of_it_and_an_export_holds_up_no_other_page():
    told = audit_page._command({"key": "k1", "since": "2 h"}, ("--data", "/srv/a"))
    assert told == "hourpass audit export trail.jsonl --key=k1 '--since=2 h' --data /srv/a"
    assert [is_long(path) for path in ("/audit/export", "/audit/verify", "/audit", "/keys")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_changed_line_is_found_and_named(own_desk):
    [key_id] = key_ids(own_desk)
    visitor = own_desk.visitor().by_link()
    assert "The trail is as it was written" in visitor.get("/audit/verify").text

    with apsw.Connection(str(own_desk.server.data / "hourpass.db")) as db:
        db.set_busy_timeout(5_000)
        [(number,)] = db.execute("update audit set actor = 'cli:eve' where key_id = ? returning n", [key_id])
    page = visitor.get("/audit/verify").text
    assert "The trail is not as it was written" in page
    assert f"Line {number} was changed." in page


def test_a_delegated_admin_sees_its_own_lines_and_cannot_verify(desk):
    own = desk.server.create_key("--subject", "zeta/1", "--scope", "a.b")["key_id"]
    [other] = key_ids(desk)
    key = desk.admin_key("operator", "--subject-prefix", "zeta/", "--max-scope", "a.b")
    visitor = desk.visitor().by_key(key["api_key"])
    page = visitor.get("/audit").text

    assert own in page
    assert other not in page
    assert "Verify the chain" not in page
    assert visitor.get("/audit/verify").status_code == 403


def test_what_lines_say_is_only_ever_text(desk):
    for text in HOSTILE:
        desk.server.create_key("--name", text, "--subject", text.replace(" ", "_"))
    page = desk.visitor().by_link().get("/audit?event=key.created&since=1h").text

    assert intruders(page) == []
    assert [text for text in HOSTILE if str(escape(text)) not in page] == []


def test_a_change_says_what_each_member_was_and_is(desk):
    [key_id] = key_ids(desk)
    desk.server.command("keys", "update", key_id, "--name", "Two → 3", "--tag", "a=b")
    page = html.unescape(desk.visitor().by_link().get(f"/audit?key={key_id}&event=key.updated").text)

    assert ' → "Two → 3"</span>' in page
    assert '<span class="tag">tags=' in page
    assert "old=" not in page


def test_a_webhook_in_the_trail_leads_to_its_page(desk):
    made = desk.server.command("webhooks", "create", "https://hooks.invalid/x", "--json")
    webhook_id = json.loads(made.stdout)["webhook_id"]
    visitor = desk.visitor().by_link()

    assert f'href="/console/webhooks/{webhook_id}"' in visitor.get("/audit?event=webhook.created").text
    delegated = desk.admin_key("operator", "--subject-prefix", "acme", "--max-scope", "")
    assert "/console/webhooks/" not in desk.visitor().by_key(delegated["api_key"]).get("/audit").text
