"""Keys: find them, make one, show one, change, _rotate, disable and end it."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.operations import (
    CREATE_KEY,
    DISABLE_KEY,
    ENABLE_KEY,
    FIND_KEY,
    GET_KEY,
    LIST_GRANTS_OF_KEY,
    LIST_KEYS,
    REVOKE_KEY,
    ROTATE_KEY,
    UPDATE_KEY,
)
from hourpass.core.api_key import KEY_ID_PATTERN
from hourpass.core.errors import ChangedMeanwhile, InvalidRequest, InvalidScope, NotFound, RotationUnderWay
from hourpass.core.policy import DAY, HOUR, SECOND
from hourpass.server.console.page import Fields, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages.key_form import asked_of, form_of

STATES = (("", "any"), ("active", "active"), ("disabled", "disabled"), ("expired", "expired"), ("revoked", "revoked"))

USES: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("any", {}),
    "raw": ("sent itself in the last 7 days", {"raw_since": 7 * DAY // SECOND}),
    "unused": ("not used for 90 days", {"unused_for": 90 * DAY // SECOND}),
    "expiring": ("ends within 30 days", {"expires_within": 30 * DAY // SECOND}),
    "waiting": ("new secret not used yet", {"next_waits": True}),
}
"""The word of the filter -> how it reads, and the conditions of the list."""

GRANTS_SHOWN = 10
"""Live grants on the page of their key."""

FILTERS = ("q", "state", "tag", "use")


def _show_keys(visit: Visit) -> PageAnswer:
    """The list, with its filters."""
    filters = {name: visit.query.get(name, "").strip() for name in FILTERS}
    if key_id := _found(visit, filters["q"]):
        return GoTo(f"/keys/{key_id}")
    problem = ""
    try:
        asked = msgspec.convert(_conditions(filters, visit.query.get("cursor")), shapes.ListKeys)
        page = visit.call(LIST_KEYS, asked)
    except (InvalidRequest, msgspec.ValidationError):
        problem, page = "A tag is NAME=TEXT, such as team=billing.", shapes.KeyPage(data=[], next=None)
    given = {name: value for name, value in filters.items() if value}
    return Shown(
        "keys.html",
        {
            "keys": page.data,
            "filters": filters,
            "states": STATES,
            "uses": [(word, reads) for word, (reads, _) in USES.items()],
            "next": f"?{urlencode({**given, 'cursor': page.next})}" if page.next else None,
            "first": f"?{urlencode(given)}" if "cursor" in visit.query else None,
            "problem": problem,
        },
    )


def _conditions(filters: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
    conditions: dict[str, Any] = dict(USES.get(filters["use"], USES[""])[1])
    if filters["state"]:
        conditions["state"] = filters["state"]
    if filters["tag"]:
        conditions["tag"] = [filters["tag"]]
    if filters["q"]:
        conditions["text"] = filters["q"]
    if cursor:
        conditions["cursor"] = cursor
    return conditions


def _found(visit: Visit, text: str) -> str | None:
    """The id of the key that a text names by itself, None if it is to be looked for."""
    if not KEY_ID_PATTERN.fullmatch(text):
        return None
    try:
        return visit.call(GET_KEY, shapes.KeyNamed(key_id=text)).key_id
    except NotFound:
        return None


def _find_whole_key(visit: Visit) -> PageAnswer:
    """Find out which key a whole API key is. It comes in a form's body, so it stands in no address and no history."""
    given = visit.form.get("api_key", "").strip()
    try:
        return GoTo(f"/keys/{visit.call(FIND_KEY, shapes.FindKey(api_key=given)).key_id}")
    except NotFound:
        return Shown("find_key.html", {"problem": "This is not an API key of this server."}, 404)


def _show_find(visit: Visit) -> PageAnswer:
    """The form for a whole key."""
    return Shown("find_key.html", {})


def _show_new(visit: Visit) -> PageAnswer:
    """The form for a new key."""
    return Shown("new_key.html", {"values": form_of(None), "problems": Fields()})


def _create(visit: Visit) -> PageAnswer:
    """Make a key, and show it this once."""
    return _tried(visit, "new_key.html", {}, lambda: _made(visit))


def _made(visit: Visit) -> PageAnswer:
    created = visit.call(CREATE_KEY, msgspec.convert(asked_of(visit.form, new=True), shapes.CreateKey))
    return Shown("show_once.html", {"title": f"{created.name} is ready", "key": created, "api_key": created.api_key})


def _show_key(visit: Visit) -> PageAnswer:
    """One key."""
    key = _key(visit)
    grants = None
    if visit.may(LIST_GRANTS_OF_KEY.name):
        asked = shapes.ListGrantsOfKey(key_id=key.key_id, limit=GRANTS_SHOWN, state="live")
        grants = visit.call(LIST_GRANTS_OF_KEY, asked).data
    return Shown("key.html", {"key": key, "grants": grants})


def _key(visit: Visit) -> shapes.Key:
    return visit.call(GET_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))


def _show_edit(visit: Visit) -> PageAnswer:
    """The form that changes a key."""
    key = _key(visit)
    values = {"key": key, "values": form_of(key), "problems": Fields(), "tag": shapes.etag(key)}
    return Shown("edit_key.html", values)


def _edit(visit: Visit) -> PageAnswer:
    """Change a key, unless somebody else did since the form was shown."""
    key = _key(visit)
    values = {"key": key, "tag": visit.form.get("tag", "")}
    return _tried(visit, "edit_key.html", values, lambda: _changed(visit, key))


def _changed(visit: Visit, key: shapes.Key) -> PageAnswer:
    asked = {
        **asked_of(visit.form, new=False, admin=key.admin is not None),
        "key_id": key.key_id,
        "now": "now" in visit.form,
        "if_match": visit.form.get("tag"),
    }
    visit.call(UPDATE_KEY, msgspec.convert(asked, shapes.UpdateKey))
    return GoTo(f"/keys/{key.key_id}", "changed")


def _tried(visit: Visit, template: str, values: Mapping[str, Any], act: Callable[[], PageAnswer]) -> PageAnswer:
    """Do what a form asks, or show the form again with what is wrong beside each field."""
    try:
        return act()
    except InvalidScope as error:
        problems = {"scope": error.detail or "a scope is words without quotes"}
    except InvalidRequest as error:
        problems = dict.fromkeys(error.names or ("",), error.detail)
    except msgspec.ValidationError:
        problems = {"": "a value is not of the right kind"}
    except ChangedMeanwhile:
        problems = {"": "Somebody else changed the key meanwhile. Load the page again"}
    shown = {"values": Fields(visit.form), "problems": Fields(problems)}
    return Shown(template, {**values, **shown}, 422)


def _show_rotate(visit: Visit) -> PageAnswer:
    """What a rotation does, and how."""
    return Shown("rotate_key.html", {"key": _key(visit), "problem": ""})


def _rotate(visit: Visit) -> PageAnswer:
    """Make the next secret, and show it this once."""
    key = _key(visit)
    at_once = visit.form.get("how") == "now"
    if at_once and visit.form.get("confirm", "").strip() != key.name:
        return Shown("rotate_key.html", {"key": key, "problem": "This is not the key’s name."}, 422)
    asked = shapes.RotateKey(key_id=key.key_id, now=at_once, overlap=UNSET if at_once else _overlap(visit))
    try:
        rotated = visit.call(ROTATE_KEY, asked)
    except (InvalidRequest, RotationUnderWay) as error:
        return Shown("rotate_key.html", {"key": key, "problem": f"{error.detail}."}, 409)
    title = f"The next secret of {key.name}"
    return Shown("show_once.html", {"title": title, "key": key, "api_key": rotated.api_key})


def _overlap(visit: Visit) -> int:
    hours = visit.form.get("overlap", "24")
    return int(hours) * HOUR // SECOND if hours.isdecimal() and len(hours) < 6 else DAY // SECOND


def _show_disable(visit: Visit) -> PageAnswer:
    """What it means to disable the key."""
    key = _key(visit)
    effects = ["The key is refused from now on.", *_numbers(key, "cannot refresh until you enable the key again")]
    return _confirm(key, "disable", "Disable", f"Nothing of {key.name} works until you enable it", effects)


def _show_revoke(visit: Visit) -> PageAnswer:
    """What it means to end the key."""
    key = _key(visit)
    effects = _numbers(key, "with all of their access tokens, end at once")
    return _confirm(key, "revoke", "Revoke", f"This ends {key.name} for good", effects)


def _numbers(key: shapes.Key, what: str) -> list[str]:
    grants = key.grants or 0
    uses = key.last_used or {}
    last = max((use.at for use in uses.values()), default=None)
    told = "It was never used." if last is None else f"It was last used at {last}."
    return [f"{grants:,} live grant{'' if grants == 1 else 's'} {what}.", told]


def _confirm(key: shapes.Key, act: str, verb: str, consequence: str, effects: list[str], problem: str = "") -> Shown:
    return Shown(
        "confirm.html",
        {
            "title": f"{verb} {key.name}",
            "crumbs": [("Keys", "/keys"), (key.name, f"/keys/{key.key_id}")],
            "consequence": consequence,
            "effects": effects,
            "action": f"/keys/{key.key_id}/{act}",
            "carried": {},
            "expected": key.name,
            "verb": f"{verb} the key",
            "back": f"/keys/{key.key_id}",
            "problem": problem,
        },
        422 if problem else 200,
    )


def _confirmed(visit: Visit, ask: Callable[[Visit], PageAnswer], act: Callable[[shapes.Key], PageAnswer]) -> PageAnswer:
    """Do something if the key's name was typed, else ask again."""
    key = _key(visit)
    if visit.form.get("confirm", "").strip() == key.name.strip():
        return act(key)
    asked = ask(visit)
    if isinstance(asked, Shown):
        return asked._replace(values={**asked.values, "problem": "This is not the key’s name."}, status=422)
    return asked


def _disable(visit: Visit) -> PageAnswer:
    """Disable the key, and end its access tokens."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(DISABLE_KEY, shapes.DisableKey(key_id=key.key_id, now=True))
        return GoTo(f"/keys/{key.key_id}", "disabled")

    return _confirmed(visit, _show_disable, act)


def _enable(visit: Visit) -> PageAnswer:
    """Enable the key."""
    visit.call(ENABLE_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))
    return GoTo(f"/keys/{visit.path['key_id']}", "enabled")


def _revoke(visit: Visit) -> PageAnswer:
    """End the key."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(REVOKE_KEY, shapes.KeyNamed(key_id=key.key_id))
        return GoTo(f"/keys/{key.key_id}", "revoked")

    return _confirmed(visit, _show_revoke, act)


SECTION = Section(
    "Keys",
    "keys",
    (
        View("/keys", LIST_KEYS, _show_keys),
        View("/keys/new", CREATE_KEY, _show_new, _create),
        View("/keys/find", FIND_KEY, _show_find, _find_whole_key),
        View("/keys/{key_id}", GET_KEY, _show_key),
        View("/keys/{key_id}/edit", UPDATE_KEY, _show_edit, _edit),
        View("/keys/{key_id}/rotate", ROTATE_KEY, _show_rotate, _rotate),
        View("/keys/{key_id}/disable", DISABLE_KEY, _show_disable, _disable),
        View("/keys/{key_id}/enable", ENABLE_KEY, None, _enable),
        View("/keys/{key_id}/revoke", REVOKE_KEY, _show_revoke, _revoke),
    ),
    {
        "changed": "The key is changed. Its clients’ next refresh sees it.",
        "disabled": "The key is disabled.",
        "enabled": "The key works again.",
        "revoked": "The key is revoked. Its grants and their access tokens ended with it.",
    },
)
