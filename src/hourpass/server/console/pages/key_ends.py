"""What replaces or ends a key: rotate, disable, enable, revoke. Each says in numbers what it will end."""

import shlex
from collections.abc import Callable, Mapping, Sequence

from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import (
    DISABLE_KEY,
    ENABLE_KEY,
    GET_KEY,
    LIST_GRANTS_OF_KEY,
    LIST_KEYS,
    LIST_SIGN_INS,
    REVOKE_KEY,
    ROTATE_KEY,
)
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.policy import HOUR, SECOND
from hourpass.server.console.page import Confirmation, Fields, GoTo, PageAnswer, PageHandler, Shown, View, Visit
from hourpass.server.console.pages.key_form import whole_field
from hourpass.server.console.rendering import as_sentence, distance_words, show_count

LAST_OWNER = (
    "This is the last owner key that works. Without it, only commands on the server’s machine change admin keys."
)

NOT_USED = "No use of it is written down. A use is written within half a minute."


def named_key(visit: Visit) -> shapes.Key:
    """The key of the address."""
    return visit.call(GET_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))


def _show_rotate(visit: Visit) -> PageAnswer:
    """What a rotation does, and how."""
    return _ask_rotate(visit, named_key(visit), {}, 200)


def _replacing(visit: Visit, key: shapes.Key) -> Confirmation:
    """What ends if the secret is replaced at once."""
    effects = ["The old secret ends at once. Clients stand still until they have the new one.", *_ends_all(visit, key)]
    asked = about_key(visit, key, "rotate", "Replace the secret", f"This stops every client of {key.name}", effects)
    return asked._replace(carried={"how": "now"}, once=True)


def _ends_all(visit: Visit, key: shapes.Key) -> list[str]:
    return numbers(visit, key, "Ends {} and all access tokens at once.")


def _ask_rotate(visit: Visit, key: shapes.Key, problems: Mapping[str, str], status: int) -> Shown:
    effects = _replacing(visit, key).effects
    values = {"key": key, "problems": Fields(problems), "effects": effects, "overlap": visit.form.get("overlap", "24")}
    return Shown("rotate_key.html", values, status)


def _rotate(visit: Visit) -> PageAnswer:
    """Make the next secret, and show it this once."""
    key = named_key(visit)
    at_once = visit.form.get("how") == "now"
    visit.require_meant(_replacing(visit, key) if at_once else None)
    try:
        asked = shapes.RotateKey(key_id=key.key_id, now=at_once, overlap=UNSET if at_once else _overlap(visit))
        rotated = visit.call_once(ROTATE_KEY, asked)
    except InvalidRequest as error:
        return _ask_rotate(visit, key, dict.fromkeys(error.names or ("",), error.detail), 422)
    except RotationUnderWay as error:
        return _ask_rotate(visit, key, {"": as_sentence(error.detail)}, 409)
    title = f"The next secret of {key.name}"
    return shown_once(visit, key, title, rotated.api_key, None if at_once else rotated.overlap)


def shown_once(visit: Visit, key: shapes.Key, title: str, api_key: str, overlap: int | None = None) -> Shown:
    """The page with a key that is shown this once. `overlap` is for how many seconds its old secret goes on."""
    origin = shlex.quote(visit.origin)
    return Shown(
        "show_once.html", {"title": title, "key": key, "api_key": api_key, "overlap": overlap, "origin": origin}
    )


def _overlap(visit: Visit) -> int:
    hours = whole_field("overlap", visit.form.get("overlap", "").strip(), "hours")
    if hours is None:
        raise InvalidRequest("say for how many hours", name="overlap")
    return hours * HOUR // SECOND


def numbers(visit: Visit, key: shapes.Key, what: str) -> list[str]:
    """What an end means: how many grants, how many clients are at work, and when the key itself came last."""
    grants: list[shapes.GrantFacts] = []
    told = [what.format(show_count(key.grants, "live grant"))] if key.grants else ["It has no live grants."]
    if signed_in := sign_ins_of(visit, key):
        told.append(f"Ends {show_count(signed_in, 'sign-in')} to the console.")
    if visit.may(LIST_GRANTS_OF_KEY.name):
        page = visit.call(LIST_GRANTS_OF_KEY, shapes.ListGrantsOfKey(key_id=key.key_id, state="live", limit=200))
        since = visit.now - HOUR
        fresh = sum(each.refreshed_at is not None and read_moment(each.refreshed_at) >= since for each in page.data)
        more = "At least " if page.next and fresh else ""
        told += [f"{more}{show_count(fresh, 'client')} refreshed in the last hour."] if fresh else []
        grants = page.data
    # Uses are written later than what became of the grants.
    uses = [use.at for use in (key.last_used or {}).values()]
    known = [*uses, *(each.refreshed_at or each.created_at for each in grants)]
    last = max(map(read_moment, known), default=None)
    told.append(NOT_USED if last is None else f"It was last used {distance_words(visit.now - last)}.")
    return told


def sign_ins_of(visit: Visit, key: shapes.Key) -> int:
    """How many sign-ins to the console a key has now."""
    if not key.admin or not visit.may(LIST_SIGN_INS.name):
        return 0
    return sum(each.key_id == key.key_id for each in visit.call(LIST_SIGN_INS, shapes.Nothing()).data)


def about_key(
    visit: Visit, key: shapes.Key, act: str, verb: str, consequence: str, effects: Sequence[str]
) -> Confirmation:
    """Ask whether something is meant that ends or changes what a key may do."""
    effects = [*_whose(visit, key, act), *effects]
    path = f"/keys/{key.key_id}"
    crumbs = [("Keys", "/keys"), (key.name, path)]
    return Confirmation(
        f"{verb}: {key.name}", crumbs, consequence, effects, key.name, verb, action=f"{path}/{act}", back=path
    )


def _whose(visit: Visit, key: shapes.Key, act: str) -> list[str]:
    """Whether a change of a key is about the person, or about the last key that can change admin keys."""
    own = ["This is your own key: you are signed out."] if visit.caller.key_id == key.key_id else []
    if key.admin != "owner" or key.state != "active" or act == "rotate":
        return own
    owners = visit.call(LIST_KEYS, shapes.ListKeys(admin="owner", state="active", limit=2)).data
    return own if len(owners) > 1 else [*own, LAST_OWNER]


_Ask = Callable[[Visit, shapes.Key], Confirmation]


def _asks(ask: _Ask) -> PageHandler:
    """The page that asks."""
    return lambda visit: ask(visit, named_key(visit)).page()


def _does(ask: _Ask, act: Callable[[Visit, str], object], done: str) -> PageHandler:
    """Do something to the key, if it is meant."""

    def do(visit: Visit) -> PageAnswer:
        key = named_key(visit)
        visit.require_meant(ask(visit, key))
        act(visit, key.key_id)
        return GoTo(f"/keys/{key.key_id}", done)

    return do


def _disabling(visit: Visit, key: shapes.Key) -> Confirmation:
    effects = [
        "The key is refused from now on.",
        "The access tokens that are out end within a second. They stay ended when you enable the key again.",
        *numbers(visit, key, "{} cannot refresh until you enable the key again."),
    ]
    return about_key(
        visit, key, "disable", "Disable the key", f"Nothing of {key.name} works until you enable it", effects
    )


def _disable(visit: Visit, key_id: str) -> None:
    visit.call(DISABLE_KEY, shapes.DisableKey(key_id=key_id, now=True))


def _enable(visit: Visit) -> PageAnswer:
    """Enable the key."""
    visit.call(ENABLE_KEY, shapes.KeyNamed(key_id=visit.path["key_id"]))
    return GoTo(f"/keys/{visit.path['key_id']}", "enabled")


def _revoking(visit: Visit, key: shapes.Key) -> Confirmation:
    return about_key(visit, key, "revoke", "Revoke the key", f"This ends {key.name} for good", _ends_all(visit, key))


def _revoke(visit: Visit, key_id: str) -> None:
    visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key_id))


def _leaking(visit: Visit, key: shapes.Key) -> Confirmation:
    """What ends if somebody else has the key."""
    effects = [
        *_ends_all(visit, key),
        "The audit trail and webhooks say that it leaked. An alert tells if somebody still tries it.",
        "Nobody tells its holder: clients learn only that the key is revoked.",
    ]
    consequence = f"Somebody else has {key.name}: this ends it for good"
    asked = about_key(visit, key, "leaked", "Revoke the key", consequence, effects)
    other = (f"/keys/{key.key_id}/rotate#h-leak", "Replace its secret instead") if key.state == "active" else None
    return asked._replace(title=f"{key.name} leaked", other=other)


def _revoke_leaked(visit: Visit, key_id: str) -> None:
    visit.call(REVOKE_KEY, shapes.RevokeKey(key_id=key_id, reason="leaked"))


VIEWS = (
    View("/keys/{key_id}/rotate", ROTATE_KEY, _show_rotate, _rotate),
    View("/keys/{key_id}/disable", DISABLE_KEY, _asks(_disabling), _does(_disabling, _disable, "disabled")),
    View("/keys/{key_id}/enable", ENABLE_KEY, None, _enable),
    View("/keys/{key_id}/revoke", REVOKE_KEY, _asks(_revoking), _does(_revoking, _revoke, "revoked")),
    View("/keys/{key_id}/leaked", REVOKE_KEY, _asks(_leaking), _does(_leaking, _revoke_leaked, "revoked")),
)
