"""What replaces or ends a key: rotate, disable, enable, revoke. Each says in numbers what it will end."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import (
    DISABLE_KEY,
    ENABLE_KEY,
    GET_KEY,
    LIST_GRANTS_OF_KEY,
    REVOKE_KEY,
    ROTATE_KEY,
)
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.policy import HOUR, SECOND
from hourpass.server.console.page import Fields, GoTo, PageAnswer, Shown, View, Visit
from hourpass.server.console.pages.key_form import whole_field
from hourpass.server.console.rendering import show_count, show_span

NOTHING: Mapping[str, str] = MappingProxyType({})

NOT_USED = "No use of it is written down. A use is written within half a minute."


def named_key(visit: Visit) -> shapes.Key:
    """The key of the address."""
    return visit.call(GET_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))


def _show_rotate(visit: Visit) -> PageAnswer:
    """What a rotation does, and how."""
    return _ask_rotate(visit, named_key(visit), {}, 200)


def _ask_rotate(visit: Visit, key: shapes.Key, problems: Mapping[str, str], status: int) -> Shown:
    effects = numbers(visit, key, "Ends {} and all access tokens at once.")
    values = {"key": key, "problems": Fields(problems), "effects": effects, "overlap": visit.form.get("overlap", "24")}
    return Shown("rotate_key.html", values, status)


def _rotate(visit: Visit) -> PageAnswer:
    """Make the next secret, and show it this once."""
    key = named_key(visit)
    at_once = visit.form.get("how") == "now"
    if at_once and visit.form.get("confirm", "").strip() != key.name:
        return _ask_rotate(visit, key, {"confirm": "This is not the key’s name."}, 422)
    try:
        asked = shapes.RotateKey(key_id=key.key_id, now=at_once, overlap=UNSET if at_once else _overlap(visit))
        rotated = visit.call_once(ROTATE_KEY, asked)
    except InvalidRequest as error:
        return _ask_rotate(visit, key, dict.fromkeys(error.names or ("",), error.detail), 422)
    except RotationUnderWay as error:
        return _ask_rotate(visit, key, {"": f"{error.detail}."}, 409)
    title = f"The next secret of {key.name}"
    return Shown("show_once.html", {"title": title, "key": key, "api_key": rotated.api_key})


def _overlap(visit: Visit) -> int:
    hours = whole_field("overlap", visit.form.get("overlap", "").strip(), "hours")
    if hours is None:
        raise InvalidRequest("say for how many hours", name="overlap")
    return hours * HOUR // SECOND


def _show_disable(visit: Visit) -> PageAnswer:
    """What it means to disable the key."""
    key = named_key(visit)
    effects = [
        "The key is refused from now on.",
        *numbers(visit, key, "{} cannot refresh until you enable the key again."),
    ]
    return confirm_change(key, "disable", "Disable", f"Nothing of {key.name} works until you enable it", effects)


def _show_revoke(visit: Visit) -> PageAnswer:
    """What it means to end the key."""
    key = named_key(visit)
    effects = numbers(visit, key, "Ends {} and all access tokens at once.")
    return confirm_change(key, "revoke", "Revoke", f"This ends {key.name} for good", effects)


def numbers(visit: Visit, key: shapes.Key, what: str) -> list[str]:
    """What an end means: how many grants, how many clients are at work, and when the key itself came last."""
    grants: list[shapes.GrantFacts] = []
    told = [what.format(show_count(key.grants or 0, "live grant"))]
    if visit.may(LIST_GRANTS_OF_KEY.name):
        page = visit.call(LIST_GRANTS_OF_KEY, shapes.ListGrantsOfKey(key_id=key.key_id, state="live", limit=200))
        since = visit.now - HOUR
        fresh = sum(each.refreshed_at is not None and read_moment(each.refreshed_at) >= since for each in page.data)
        more = "At least " if page.next and fresh else ""
        told.append(f"{more}{show_count(fresh, 'client')} refreshed in the last hour.")
        grants = page.data
    # Uses are written later than what became of the grants.
    uses = [use.at for use in (key.last_used or {}).values()]
    known = [*uses, *(each.refreshed_at or each.created_at for each in grants)]
    last = max(map(read_moment, known), default=None)
    told.append(NOT_USED if last is None else f"It was last used {show_span(visit.now - last)} ago.")
    return told


def confirm_change(
    key: shapes.Key, act: str, verb: str, consequence: str, effects: Sequence[str], carried: Mapping[str, str] = NOTHING
) -> Shown:
    """Ask whether it is meant. `carried` is what the next form has besides the name."""
    return Shown(
        "confirm.html",
        {
            "title": f"{verb} {key.name}",
            "crumbs": [("Keys", "/keys"), (key.name, f"/keys/{key.key_id}")],
            "consequence": consequence,
            "effects": effects,
            "action": f"/keys/{key.key_id}/{act}",
            "carried": carried,
            "expected": key.name,
            "verb": f"{verb} the key",
            "back": f"/keys/{key.key_id}",
            "problem": "",
        },
    )


def _confirmed(visit: Visit, ask: Callable[[Visit], PageAnswer], act: Callable[[shapes.Key], PageAnswer]) -> PageAnswer:
    """Do something if the key's name was typed, else ask again."""
    key = named_key(visit)
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
        visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key.key_id))
        return GoTo(f"/keys/{key.key_id}", "revoked")

    return _confirmed(visit, _show_revoke, act)


def _show_leaked(visit: Visit) -> PageAnswer:
    """What ends if somebody else has the key."""
    key = named_key(visit)
    effects = [
        *numbers(visit, key, "Ends {} and all access tokens at once."),
        "Its holder and the audit trail are told that it leaked.",
    ]
    page = confirm_change(key, "leaked", "Revoke", f"Somebody else has {key.name}: this ends it for good", effects)
    other = (f"/keys/{key.key_id}/rotate#h-leak", "Replace its secret instead")
    return page._replace(values={**page.values, "title": f"{key.name} leaked", "other": other})


def _leaked(visit: Visit) -> PageAnswer:
    """End the key because it leaked."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key.key_id, reason="leaked"))
        return GoTo(f"/keys/{key.key_id}", "revoked")

    return _confirmed(visit, _show_leaked, act)


VIEWS = (
    View("/keys/{key_id}/rotate", ROTATE_KEY, _show_rotate, _rotate),
    View("/keys/{key_id}/disable", DISABLE_KEY, _show_disable, _disable),
    View("/keys/{key_id}/enable", ENABLE_KEY, None, _enable),
    View("/keys/{key_id}/revoke", REVOKE_KEY, _show_revoke, _revoke),
    View("/keys/{key_id}/leaked", REVOKE_KEY, _show_leaked, _leaked),
)
