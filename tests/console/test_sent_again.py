"""A page that shows a secret once: a reload sends its form again, and nothing is done again."""

import json
from urllib.parse import quote

import pytest
from tests.console.conftest import sign_in, watched

SHOWN = {"key": "api-key", "webhook": "secret"}
"""What makes a secret -> where the page shows it."""


def made_by(desk, what: str) -> str:
    """The address of a page with a form that makes a secret, of a key or webhook of its own if it needs one."""
    kind, _, act = what.partition(" ")
    if act == "new":
        return f"/{kind}s/new"
    if kind == "key":
        return f"/keys/{desk.server.create_key('--name', 'Robot')['key_id']}/{act}"
    made = desk.server.command("webhooks", "create", "https://hooks.invalid/x", "--json")
    return f"/webhooks/{json.loads(made.stdout)['webhook_id']}/{act}"


FORMS = {
    "key new": {"name": "Twice"},
    "key rotate": {"how": "overlap", "overlap": "24"},
    "key rotate at once": {"how": "now", "confirm": "Robot"},
    "webhook new": {"url": "https://example.com/twice"},
    "webhook rotate-secret": {},
}


def trail_of(desk) -> int:
    return len(desk.server.command("audit", "--json").stdout.splitlines())


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_makes_a_secret_makes_one(desk, what):
    path = made_by(desk, what.removesuffix(" at once"))
    visitor = desk.visitor().by_link()
    visitor.get(path)
    form = {**FORMS[what], "once": visitor.once}
    first = visitor.post(path, form)
    before = trail_of(desk)
    again = visitor.post(path, form)

    assert (first.status_code, f'id="{SHOWN[what.split()[0]]}"' in first.text) == (200, True)
    assert (again.status_code, "This was done already" in again.text) == (409, True)
    assert f'href="/console{path.rpartition("/")[0]}"' in again.text
    assert trail_of(desk) == before, "nothing was done again"
    assert visitor.post(path, {**FORMS[what], "once": ""}).status_code in {400, 409, 422}, (
        "a form without an id does nothing"
    )
    assert trail_of(desk) == before


def test_a_form_that_was_refused_may_be_sent_again(desk):
    visitor = desk.visitor().by_link()
    visitor.get("/keys/new")
    form = {"once": visitor.once, "name": "Once more"}

    assert visitor.post("/keys/new", {**form, "scope": 'no "quotes"'}).status_code == 422
    assert visitor.post("/keys/new", form).status_code == 200


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_reload_makes_no_second_key(browser, desk, script):
    name = f"Reloaded {script}"
    with watched(browser, desk, java_script_enabled=script) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/keys/new"))
        page.get_by_label("Name").first.fill(name)
        page.get_by_role("button", name="Make the key").click()
        page.locator("#api-key").wait_for()
        page.reload()

        assert page.get_by_role("heading", name="This was done already").is_visible()
        page.get_by_role("link", name="Look at what is there").click()
        page.goto(desk.url(f"/keys?q={quote(name)}"))
        assert page.get_by_role("link", name=name).count() == 1
