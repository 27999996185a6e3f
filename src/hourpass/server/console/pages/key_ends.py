"""What replaces or ends a key: rotate, disable, enable, revoke. Each says in numbers what it will end."""

from collections.abc import Callable, Mapping, Sequence

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
from hourpass.server.console.confirmation import NOTHING, Confirmation, asks
from hourpass.server.console.page import Fields, GoTo, PageAnswer, Shown, View, Visit
from hourpass.server.console.pages.key_form import whole_field
from hourpass.server.console.rendering import as_sentence, show_count, show_span

NOT_ITS_NAME = "This is not the key’s name."

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
    if at_once and not visit.typed(key.name):
        return _ask_rotate(visit, key, {"confirm": NOT_ITS_NAME}, 422)
    try:
        asked = shapes.RotateKey(key_id=key.key_id, now=at_once, overlap=UNSET if at_once else _overlap(visit))
        rotated = visit.call_once(ROTATE_KEY, asked)
    except InvalidRequest as error:
        return _ask_rotate(visit, key, dict.fromkeys(error.names or ("",), error.detail), 422)
    except RotationUnderWay as error:
        return _ask_rotate(visit, key, {"": as_sentence(error.detail)}, 409)
    title = f"The next secret of {key.name}"
    return Shown("show_once.html", {"title": title, "key": key, "api_key": rotated.api_key})


def _overlap(visit: Visit) -> int:
    hours = whole_field("overlap", visit.form.get("overlap", "").strip(), "hours")
    if hours is None:
        raise InvalidRequest("say for how many hours", name="overlap")
    return hours * HOUR // SECOND


def _ask_disable(visit: Visit) -> Confirmation:
    """What it means to disable the key."""
    key = named_key(visit)
    effects = [
        "The key is refused from now on.",
        *numbers(visit, key, "{} cannot refresh until you enable the key again."),
    ]
    return about_key(key, "disable", "Disable", f"Nothing of {key.name} works until you enable it", effects)


def _ask_revoke(visit: Visit) -> Confirmation:
    """What it means to end the key."""
    key = named_key(visit)
    effects = numbers(visit, key, "Ends {} and all access tokens at once.")
    return about_key(key, "revoke", "Revoke", f"This ends {key.name} for good", effects)


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


def about_key(
    key: shapes.Key, act: str, verb: str, consequence: str, effects: Sequence[str], carried: Mapping[str, str] = NOTHING
) -> Confirmation:
    """The question before a change of a key, whose name must be typed."""
    return Confirmation(
        title=f"{verb} {key.name}",
        crumbs=[("Keys", "/keys"), (key.name, f"/keys/{key.key_id}")],
        consequence=consequence,
        effects=effects,
        action=f"/keys/{key.key_id}/{act}",
        verb=f"{verb} the key",
        back=f"/keys/{key.key_id}",
        expected=key.name,
        carried=carried,
    )


def _confirmed(
    visit: Visit, ask: Callable[[Visit], Confirmation], act: Callable[[shapes.Key], PageAnswer]
) -> PageAnswer:
    """Do something if the key's name was typed, else ask again."""
    key = named_key(visit)
    return act(key) if visit.typed(key.name) else ask(visit).page(NOT_ITS_NAME)


def _disable(visit: Visit) -> PageAnswer:
    """Disable the key, and end its access tokens."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(DISABLE_KEY, shapes.DisableKey(key_id=key.key_id, now=True))
        return GoTo(f"/keys/{key.key_id}", "disabled")

    return _confirmed(visit, _ask_disable, act)


def _enable(visit: Visit) -> PageAnswer:
    """Enable the key."""
    visit.call(ENABLE_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))
    return GoTo(f"/keys/{visit.path['key_id']}", "enabled")


def _revoke(visit: Visit) -> PageAnswer:
    """End the key."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key.key_id))
        return GoTo(f"/keys/{key.key_id}", "revoked")

    return _confirmed(visit, _ask_revoke, act)


def _ask_leaked(visit: Visit) -> Confirmation:
    """What ends if somebody else has the key."""
    key = named_key(visit)
    effects = [
        *numbers(visit, key, "Ends {} and all access tokens at once."),
        "Its holder and the audit trail are told that it leaked.",
    ]
    question = about_key(key, "leaked", "Revoke", f"Somebody else has {key.name}: this ends it for good", effects)
    other = (f"/keys/{key.key_id}/rotate#h-leak", "Replace its secret instead")
    return question._replace(title=f"{key.name} leaked", other=other)


def _leaked(visit: Visit) -> PageAnswer:
    """End the key because it leaked."""

    def act(key: shapes.Key) -> PageAnswer:
        visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key.key_id, reason="leaked"))
        return GoTo(f"/keys/{key.key_id}", "revoked")

    return _confirmed(visit, _ask_leaked, act)


VIEWS = (
    View("/keys/{key_id}/rotate", ROTATE_KEY, _show_rotate, _rotate),
    View("/keys/{key_id}/disable", DISABLE_KEY, asks(_ask_disable), _disable),
    View("/keys/{key_id}/enable", ENABLE_KEY, None, _enable),
    View("/keys/{key_id}/revoke", REVOKE_KEY, asks(_ask_revoke), _revoke),
    View("/keys/{key_id}/leaked", REVOKE_KEY, asks(_ask_leaked), _leaked),
)
