"""Forms that change or end a key: nothing is changed that was not edited, and what takes something away asks first."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest

FIELDS = ("name", "scope", "audiences", "allowed_ips", "tags", "claims", "expires_at", "raw_until")
FIELDS += ("retry_window", "access_token_lifetime", "subject", "external_id", "environment", "admin", "max_scope")
"""Fields of a key's form."""

ODD = {
    "deep": "x=" + "[" * 20_000,
    "long number": "x=" + "9" * 5_000,
    "not a number": "x=NaN",
    "endless": "x=1e999",
    "another digit": "²",
    "before zero": "-5",
    "no day": "2027-02-31T12:00",
    "a year too many": "99999-01-01T00:00",
    "far away": "0001-01-01T00:00:00+23:59",
    "a character that is not seen": "a\x00b",
}


def in_hours(hours: float) -> str:
    return f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}Z"


def shown(desk, key_id: str) -> dict:
    told = json.loads(desk.server.command("keys", "show", key_id, "--json").stdout)
    return {name: value for name, value in told.items() if name != "last_used"}  # written later


def form_of(page: str) -> dict[str, str]:
    """What a browser sends of the form of a page that nobody edited."""
    found = {}
    for tag in re.findall(r"<input [^>]*>", page):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in given and (given.get("type") != "checkbox" or re.search(r"\schecked\b", tag)):
            found[given["name"]] = unescape(given.get("value", ""))
    for name, text in re.findall(r'<textarea [^>]*name="([\w-]+)"[^>]*>([^<]*)</textarea>', page):
        found[name] = unescape(text).replace("\n", "\r\n")
    return found


@pytest.fixture
def key(desk):
    """A key with something in each of its members."""
    options = ["--name", "Robot", "--scope", "a.b c.d", "--tag", "team=x", "--tag", "at=y", "--claim", "n=1"]
    options += ["--allow-ip", "127.0.0.0/8", "--allow-ip", "192.0.2.0/24", "--expires-in", "7h"]
    made = desk.server.create_key(*options, "--self-rotation")
    desk.server.command("keys", "update", made["key_id"], "--raw-until", in_hours(6))
    httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": made["api_key"]}).raise_for_status()
    return made["key_id"]


@pytest.fixture
def visitor(desk):
    return desk.visitor().by_link()


def edit(visitor, key_id: str, **fields: str):
    path = f"/keys/{key_id}/edit"
    return visitor.post(path, {**form_of(visitor.get(path).text), **fields})


def test_an_edit_changes_what_was_edited_and_nothing_else(desk, visitor, key):
    before = shown(desk, key)
    assert edit(visitor, key, name="Robot two").status_code == 303
    after = shown(desk, key)

    assert {name for name in before if before[name] != after[name]} == {"name"}


def test_a_form_that_nobody_edited_changes_nothing(desk, visitor, key):
    before = desk.server.command("audit", "--key", key, "--json").stdout
    answer = edit(visitor, key)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/keys/{key}")
    assert desk.server.command("audit", "--key", key, "--json").stdout == before


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scope": "a.b"}, "Its tokens lose c.d."),
        ({"allowed_ips": "127.0.0.0/8"}, "Clients are refused at all addresses but 127.0.0.0/8."),
        ({"audiences": "https://other.test"}, "Its tokens are only for https://other.test."),
        ({"expires_at": in_hours(1)[:-1]}, "The key and its grants end at"),
        ({"raw_until": in_hours(-1)[:-1]}, "The key itself is refused from"),
        ({"now": "yes"}, "The access tokens that are out end at once."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_edit_that_takes_something_away_asks_with_numbers_and_for_the_name(desk, visitor, key, fields, says):
    before = shown(desk, key)
    asked = edit(visitor, key, **fields)

    assert (asked.status_code, says in asked.text, "It has 1 live grant" in asked.text) == (200, True, True)
    wrong = visitor.post(f"/keys/{key}/edit", {**form_of(asked.text), "confirm": "Robo"})
    assert (wrong.status_code, "This is not the name." in wrong.text) == (422, True)
    assert shown(desk, key) == before
    assert visitor.post(f"/keys/{key}/edit", {**form_of(wrong.text), "confirm": "Robot"}).status_code == 303
    assert {name for name, value in shown(desk, key).items() if value != before[name]} <= {*fields, "audience"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("allowed_ips", "10.0.0.300"),
        ("audiences", "two words"),
        ("scope", 'a."b"'),
        ("tags", "no pair"),
        ("claims", "sub=me"),
        ("retry_window", "99999999"),
        ("expires_at", "2020-01-01T00:00"),
        ("name", ""),
    ],
)
def test_what_an_edit_cannot_do_is_refused_before_anything_is_asked(visitor, key, name, text):
    answer = edit(visitor, key, **{"now": "yes", name: text})

    assert (answer.status_code, f'id="e-{name}"' in answer.text, 'name="confirm"' in answer.text) == (422, True, False)


@pytest.mark.parametrize("name", ["allowed_ips", "audiences", "tags", "name"])
def test_no_page_repeats_an_api_key_that_stands_in_a_form(desk, visitor, key, name):
    api_key = desk.server.create_key()["api_key"]
    text = f"x={api_key}" if name == "tags" else api_key
    edited = edit(visitor, key, **{name: text, "scope": "a.b"})
    visitor.get("/keys/new")
    new = visitor.post("/keys/new", {"name": "New", name: text})

    for answer in (edited, new):
        assert (answer.status_code, f'id="e-{name}"' in answer.text, api_key in answer.text) == (422, True, False)


@pytest.mark.parametrize(
    ("admin", "name", "text"),
    [
        ("operator", "scope", "videos.read"),
        ("operator", "audiences", "https://api.test"),
        ("operator", "claims", "n=1"),
        ("operator", "self_rotation", "yes"),
        ("operator", "raw_until", "2999-01-01T00:00"),
        ("operator", "environment", "sandbox"),
        ("", "subject_prefix", "acme/"),
        ("", "max_scope", "videos.read"),
    ],
)
def test_a_new_key_is_refused_if_its_members_do_not_fit_its_kind(desk, visitor, admin, name, text):
    visitor.get("/keys/new")
    before = desk.server.command("audit", "--json").stdout
    answer = visitor.post("/keys/new", {"name": "Ops", "admin": admin, name: text})

    assert (answer.status_code, f'href="#f-{name}"' in answer.text) == (422, True)
    assert "No key was made" in answer.text
    assert not re.search(
        r"\w_\w", re.search(r'role="alert".*?</ul>', answer.text, re.DOTALL)[0].replace(f"f-{name}", "")
    )
    assert desk.server.command("audit", "--json").stdout == before


def test_an_edit_does_not_end_a_key_in_the_past(desk, visitor, key):
    answer = edit(visitor, key, expires_at="2020-01-01T00:00", confirm="Robot")

    assert (answer.status_code, "To end the key now, revoke it" in answer.text) == (422, True)
    assert shown(desk, key)["state"] == "active"


def test_an_edit_without_the_tag_of_what_it_showed_changes_nothing(visitor, key):
    assert visitor.post(f"/keys/{key}/edit", {"name": "Other"}).status_code == 422


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_read_is_explained_at_its_field(visitor, key, odd):
    visitor.get("/keys/new")
    for at, name in enumerate(FIELDS):
        made = visitor.post("/keys/new", {"name": "Odd", name: ODD[odd], "once": f"{key}{at}"})
        assert made.status_code in {200, 422}, name
    for name in ("claims", "raw_until", "access_token_lifetime"):
        assert edit(visitor, key, **{name: ODD[odd]}).status_code in {200, 303, 422}, name


@pytest.mark.parametrize("overlap", ["", "-5", "²", "1.5", "0x1", "99999", "9" * 5_000])
def test_hours_that_are_not_a_number_make_no_secret(desk, visitor, key, overlap):
    visitor.get(f"/keys/{key}/rotate")
    answer = visitor.post(f"/keys/{key}/rotate", {"how": "overlap", "overlap": overlap})

    assert (answer.status_code, 'id="e-overlap"' in answer.text) == (422, True)
    assert shown(desk, key)["next_secret_at"] is None


def test_a_key_that_is_at_work_is_never_called_unused(desk, visitor, key):
    unused = desk.server.create_key("--name", "New")["key_id"]

    assert "It was last used" in visitor.get(f"/keys/{key}/revoke").text
    assert "No use of it is written down. A use is written within half a minute." in unescape(
        visitor.get(f"/keys/{unused}/revoke").text
    )
    assert "never" not in visitor.get(f"/keys/{unused}").text.partition("Last uses")[2]


def test_a_key_that_leaked_ends_for_that_reason(desk, visitor, key):
    assert f'href="/console/keys/{key}/leaked"' in visitor.get(f"/keys/{key}").text
    asked = visitor.get(f"/keys/{key}/leaked").text

    assert "Ends 1 live grant and all access tokens at once." in asked
    assert f'href="/console/keys/{key}/rotate#h-leak"' in asked
    assert visitor.post(f"/keys/{key}/leaked", {"confirm": "another"}).status_code == 422
    assert visitor.post(f"/keys/{key}/leaked", {"confirm": "Robot"}).status_code == 303
    assert shown(desk, key)["revoked_why"] == "leaked"
    assert "because it leaked" in visitor.get(f"/keys/{key}").text


@pytest.mark.parametrize(("act", "how"), [("rotate", {"how": "now"}), ("revoke", {})])
def test_a_name_with_spaces_around_it_can_be_typed(desk, visitor, act, how):
    path = f"/keys/{desk.server.create_key('--name', ' Robot ')['key_id']}/{act}"
    visitor.get(path)

    assert visitor.post(path, {**how, "confirm": "Robo"}).status_code == 422
    assert visitor.post(path, {**how, "confirm": "Robot"}).status_code in {200, 303}
