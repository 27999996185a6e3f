"""Keys: find them, make one, show one, change, _rotate, disable and end it."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hourpass.admin import shapes
from hourpass.admin.operations import (
    CREATE_KEY,
    FIND_KEY,
    GET_KEY,
    LIST_GRANTS_OF_KEY,
    LIST_KEYS,
    UPDATE_KEY,
)
from hourpass.core.admin_access import ROLES
from hourpass.core.api_key import KEY_ID_PATTERN
from hourpass.core.errors import ChangedMeanwhile, InvalidRequest, InvalidScope, NotFound
from hourpass.core.policy import DAY, SECOND
from hourpass.server.console.page import Confirmation, Fields, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages import key_ends, key_import
from hourpass.server.console.pages.key_ends import named_key
from hourpass.server.console.pages.key_form import (
    LABELS,
    asked_of,
    edited_of,
    form_of,
    in_words,
    narrowed_by,
    new_form,
    widened_by,
)

STATES = (("", "any"), ("active", "active"), ("disabled", "disabled"), ("expired", "expired"), ("revoked", "revoked"))

USES: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("any", {}),
    "raw": ("raw key used in the last 7 days", {"raw_since": 7 * DAY // SECOND}),
    "unused": ("not used for 90 days", {"unused_for": 90 * DAY // SECOND}),
    "expiring": ("ends within 30 days", {"expires_within": 30 * DAY // SECOND}),
    "waiting": ("new secret not used yet", {"next_waits": True}),
}
"""The word of the filter -> how it reads, and the conditions of the list."""

GRANTS_SHOWN = 10
"""Live grants on the page of their key."""

FILTERS = ("q", "state", "tag", "use", "admin")

ADMINS = (("", "all"), ("any", "admin keys"), *((role, f"{role} keys") for role in ROLES))


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
    return Shown(
        "keys.html",
        {
            "keys": page.data,
            "filters": filters,
            "states": STATES,
            "admins": ADMINS,
            "uses": [(word, reads) for word, (reads, _) in USES.items()],
            **visit.pager(filters, page.next),
            "problem": problem,
        },
    )


def _conditions(filters: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
    conditions: dict[str, Any] = dict(USES.get(filters["use"], USES[""])[1])
    if filters["state"]:
        conditions["state"] = filters["state"]
    if filters["tag"]:
        conditions["tag"] = [filters["tag"]]
    if filters["admin"]:
        conditions["admin"] = filters["admin"]
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
    return Shown(
        "new_key.html", {"values": new_form(visit.caller.subject_prefix), "problems": Fields(), "labels": LABELS}
    )


def _create(visit: Visit) -> PageAnswer:
    """Make a key, and show it this once."""
    return _tried(visit, "new_key.html", {}, lambda: _made(visit))


def _made(visit: Visit) -> PageAnswer:
    created = visit.call_once(CREATE_KEY, msgspec.convert(asked_of(visit.form, new=True), shapes.CreateKey))
    return key_ends.shown_once(visit, created, f"{created.name} is ready", created.api_key)


def _show_key(visit: Visit) -> PageAnswer:
    """One key."""
    key = named_key(visit)
    grants, had_grants = None, False
    if visit.may(LIST_GRANTS_OF_KEY.name):
        asked = shapes.ListGrantsOfKey(key_id=key.key_id, limit=GRANTS_SHOWN, state="live")
        grants = visit.call(LIST_GRANTS_OF_KEY, asked).data
        any_of_it = shapes.ListGrantsOfKey(key_id=key.key_id, limit=1)
        had_grants = not grants and bool(visit.call(LIST_GRANTS_OF_KEY, any_of_it).data)
    signed_in = key_ends.sign_ins_of(visit, key)
    return Shown("key.html", {"key": key, "grants": grants, "had_grants": had_grants, "signed_in": signed_in})


def _show_edit(visit: Visit) -> PageAnswer:
    """The form that changes a key."""
    key = named_key(visit)
    values = {"key": key, "values": form_of(key), "problems": Fields(), "tag": key.etag(), "labels": LABELS}
    return Shown("edit_key.html", values)


def _edit(visit: Visit) -> PageAnswer:
    """Change a key, unless somebody else did since the form was shown."""
    key = named_key(visit)
    values = {"key": key, "tag": visit.form.get("tag", "")}
    return _tried(visit, "edit_key.html", values, lambda: _changed(visit, key))


def _changed(visit: Visit, key: shapes.Key) -> PageAnswer:
    tag, now = visit.form.get("tag", ""), "now" in visit.form
    if not shapes.precondition_holds(tag, key.etag()):
        raise ChangedMeanwhile  # what the form changes is known only beside what it showed
    members = edited_of(visit.form, key)
    if not members and not now:
        return GoTo(f"/keys/{key.key_id}")
    asked = msgspec.convert({**members, "key_id": key.key_id, "now": now, "if_match": tag}, shapes.UpdateKey)
    visit.call_if_meant(UPDATE_KEY, asked, lambda: _asking(visit, key, members, now=now))
    return GoTo(f"/keys/{key.key_id}", "changed_admin" if key.admin else "changed")


def _asking(visit: Visit, key: shapes.Key, members: Mapping[str, Any], *, now: bool) -> Confirmation | None:
    """Ask whether a change is meant that takes something away, or gives an admin key more. None if it does neither."""
    ends = ["The access tokens that are out end at once."] if now else []
    taken, given = [*narrowed_by(key, members, visit.now), *ends], widened_by(key, members)
    if not taken and not given:
        return None
    effects = [*given, *taken, *key_ends.numbers(visit, key, "It has {}.")]
    who = f"{'who uses' if key.admin else 'the clients of'} {key.name}"
    takes = f"This takes something away from {who}"
    consequence = (
        f"This gives {key.name} more power" if not taken else f"{takes}, and gives more power" if given else takes
    )
    carried = {name: text for name, text in visit.form.items() if name not in {"form", "confirm"}}
    return key_ends.about_key(visit, key, "edit", "Change the key", consequence, effects)._replace(carried=carried)


def _tried(visit: Visit, template: str, values: Mapping[str, Any], act: Callable[[], PageAnswer]) -> PageAnswer:
    """Do what a form asks, or show the form again with what is wrong beside each field."""
    try:
        return act()
    except InvalidScope as error:
        problems = {"scope": error.detail or "a scope is words without quotes"}
    except InvalidRequest as error:
        problems = dict.fromkeys(error.names or ("",), in_words(error.detail))
    except msgspec.ValidationError:
        problems = {"": "a value is not of the right kind"}
    except ChangedMeanwhile:
        problems = {"": "Somebody else changed the key meanwhile. Load the page again"}
    shown = {"values": visit.typed(), "problems": Fields(problems), "labels": LABELS}
    return Shown(template, {**values, **shown}, 422)


SECTION = Section(
    "Keys",
    "keys",
    (
        View("/keys", LIST_KEYS, _show_keys),
        View("/keys/new", CREATE_KEY, _show_new, _create),
        View("/keys/find", FIND_KEY, _show_find, _find_whole_key),
        *key_import.VIEWS,
        View("/keys/{key_id}", GET_KEY, _show_key),
        View("/keys/{key_id}/edit", UPDATE_KEY, _show_edit, _edit),
        *key_ends.VIEWS,
    ),
    {
        "changed": "The key is changed. Its clients’ next refresh sees it.",
        "changed_admin": "The key is changed. Who was signed in with it must sign in again.",
        "disabled": "The key is disabled.",
        "enabled": "The key works again.",
        "revoked": "Done. Nothing of this key works any more.",
    },
)
