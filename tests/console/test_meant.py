"""What ends or narrows access, or gives an admin key more, asks first and for a name. The operations say which."""

import json
import re
from html import unescape

import httpx2
import pytest

from hourpass.admin.operations import (
    CREATE_KEY,
    CREATE_WEBHOOK,
    ENABLE_KEY,
    IMPORT_KEYS,
    OPERATIONS,
    ROTATE_SIGNING_KEYS,
    ROTATE_WEBHOOK_SECRET,
    TRY_WEBHOOK,
)
from hourpass.core.sign_in import SignIn, hash_of, sign_in_name
from hourpass.server.console.page import Visit
from hourpass.server.console.pages import SECTIONS

GIVES = {
    CREATE_KEY,
    CREATE_WEBHOOK,
    ENABLE_KEY,
    IMPORT_KEYS,
    ROTATE_SIGNING_KEYS,
    ROTATE_WEBHOOK_SECRET,
    TRY_WEBHOOK,
}
"""What changes something and takes nothing from anybody. An import is looked at first."""

ENDING = [view for section in SECTIONS for view in section.views if view.act and view.needs.ends]

ASKS_OTHERWISE = {"/inspect/revoke", "/keys/{key_id}/enable", "/webhooks/{webhook_id}/enable"}
"""A token is pasted again, and the page that explains it asks. What gives access back asks nothing."""

DELEGATED = {"subject_prefix": "acme/", "max_scope": "a.b"}

OWN, LAST = "This is your own key: you are signed out.", "This is the last owner key that works."

FORMS = {
    "/keys/{key_id}/edit": {"scope": ""},
    "/keys/{key_id}/rotate": {"how": "now"},
    "/webhooks/{webhook_id}/edit": {"url": "https://elsewhere.example.com/"},
}
"""Forms that take something away, besides those that are only a button."""


def test_every_operation_that_changes_something_either_gives_or_ends():
    assert {each for each in OPERATIONS if not each.reads and not each.ends} == GIVES


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.ends], ids=lambda each: each.name)
def test_nothing_ends_before_somebody_was_asked(operation):
    visit = Visit.__new__(Visit)
    visit._meant = False

    with pytest.raises(RuntimeError, match=f"whether {operation.name} is meant"):
        visit.call(operation, None)


@pytest.fixture(scope="module")
def there(desk):
    """Something of each kind that a path can name."""
    command = desk.server.command
    key = desk.server.create_key("--name", "Robot", "--scope", "a.b")
    httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).raise_for_status()
    [grant] = json.loads(command("grants", "list", "--key", key["key_id"], "--json").stdout)
    webhook = json.loads(command("webhooks", "create", "https://hooks.invalid/x", "--json").stdout)
    kid = json.loads(command("signing-keys", "list", "--json").stdout)[0]["kid"]
    return {
        "key_id": key["key_id"],
        "grant_id": grant["grant_id"],
        "webhook_id": webhook["webhook_id"],
        "kid": kid,
        "sign_in_id": sign_in_name(
            SignIn(hash_of(next(iter(desk.visitor().by_link().cookies.values()))), "", None, None, 0, 0)
        ),
    }


@pytest.fixture(scope="module")
def owner(desk):
    """Somebody who may change everything."""
    return desk.visitor().by_link()


@pytest.mark.parametrize(
    "view", [view for view in ENDING if view.path not in ASKS_OTHERWISE], ids=lambda view: view.path.strip("/")
)
def test_a_form_that_ends_something_asks_for_a_name_and_does_nothing_before(desk, there, view):
    visitor = desk.visitor().by_link()
    path = view.path.format_map(there)
    form = FORMS.get(view.path, {})
    if view.path.endswith("/edit"):
        tag = unescape(visitor.get(path).text).partition('name="tag" value="')[2].partition('"')[0]
        form = {"name": "Robot", "tag": tag, **form}
    before = desk.server.command("audit", "--json").stdout
    asked = visitor.post(path, form)

    assert (asked.status_code, 'name="confirm"' in asked.text, "note-box warn" in asked.text) == (200, True, True)
    wrong = visitor.post(path, {**form, "confirm": "another name"})
    assert (wrong.status_code, "This is not the name." in wrong.text) == (422, True)
    assert desk.server.command("audit", "--json").stdout == before


def test_what_an_edit_of_a_webhook_cannot_do_is_refused_before_anything_is_asked(owner, there):
    path = f"/webhooks/{there['webhook_id']}/edit"
    form = {"tag": tag_in(owner.get(path).text), "event:key.leaked": "yes"}
    answer = owner.post(path, {**form, "url": "https://10.0.0.1/"})

    assert (answer.status_code, 'id="e-url"' in answer.text, 'name="confirm"' in answer.text) == (422, True, False)


def made(owner, **members: str) -> tuple[str, dict[str, str]]:
    """The path of the form of a new admin key, and its fields as a browser sends them if nobody edits them."""
    owner.get("/keys/new")
    page = owner.post("/keys/new", {"name": "Ops", **members}).text
    path = re.search(r"/console(/keys/\w{12})\"", page)[1] + "/edit"
    return path, {"name": "Ops", **members, "tag": tag_in(owner.get(path).text)}


def tag_in(page: str) -> str:
    return page.partition('name="tag" value="')[2].partition('"')[0]


@pytest.mark.parametrize(
    ("members", "fields", "says"),
    [
        ({"admin": "operator"}, {"admin": "auditor"}, ["It becomes an auditor and loses grants:write"]),
        ({"admin": "operator"}, DELEGATED, ["It sees only subjects that begin with acme/.", "It loses "]),
        (
            {"admin": "operator", **DELEGATED},
            {"subject_prefix": "", "max_scope": ""},
            ["It gains overview:read", "see and change the keys of all customers.", "It may also give every scope."],
        ),
        (
            {"admin": "operator", **DELEGATED},
            {"subject_prefix": "ac"},
            ["see and change the keys whose subjects begin with ac."],
        ),
        ({"admin": "operator", **DELEGATED}, {"max_scope": "a.b c.d"}, ["It may also give c.d."]),
        (
            {"admin": "auditor"},
            {"admin": "operator"},
            ["It becomes an operator and gains grants:write", "see and change the keys of all customers."],
        ),
        ({"admin": "operator"}, {"admin": "owner"}, ["becomes an owner", "It will make and change admin keys."]),
    ],
    ids=["lower", "delegated", "not delegated", "prefix", "max scope", "higher", "owner"],
)
def test_a_change_of_what_an_admin_key_may_do_asks_first_and_says_what(owner, members, fields, says):
    path, form = made(owner, **members)
    asked = owner.post(path, {**form, **fields})

    assert (asked.status_code, 'name="confirm"' in asked.text) == (200, True)
    assert [each for each in says if each not in unescape(asked.text)] == []
    assert owner.post(path, {**form, **fields, "confirm": "Op"}).status_code == 422
    assert tag_in(owner.get(path).text) == form["tag"], "nothing was changed"
    assert owner.post(path, {**form, **fields, "confirm": "Ops"}).status_code == 303
    assert "Who was signed in with it must sign in again." in owner.get(path.removesuffix("/edit")).text


def test_a_question_about_your_own_key_or_the_last_owner_key_says_so(own_desk):
    ada = own_desk.admin_key("owner", "--name", "Ada")
    visitor = own_desk.visitor().by_key(ada["api_key"])
    for act in ("revoke", "leaked", "disable"):
        asked = visitor.get(f"/keys/{ada['key_id']}/{act}").text
        assert (OWN in asked, LAST in asked) == (True, True), act

    bob = own_desk.admin_key("owner", "--name", "Bob")["key_id"]
    assert LAST not in visitor.get(f"/keys/{ada['key_id']}/revoke").text
    assert OWN not in visitor.get(f"/keys/{bob}/revoke").text


def test_a_new_key_does_not_end_in_the_past(desk):
    visitor = desk.visitor().by_link()
    visitor.get("/keys/new")
    answer = visitor.post("/keys/new", {"name": "Late", "expires_at": "2020-01-01T00:00"})

    assert (answer.status_code, 'id="e-expires_at"' in answer.text) == (422, True)
