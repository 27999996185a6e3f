"""Grants: what exchanges of a key opened, and the life of one of them."""

import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import (
    GET_GRANT,
    GET_KEY,
    GRANT_TIMELINE,
    LIST_GRANTS,
    LIST_GRANTS_OF_KEY,
    LIST_KEYS,
    REVOKE_GRANT,
)
from hourpass.core.errors import NotFound
from hourpass.core.grant import GRANT_ID_PATTERN
from hourpass.server.console.page import Confirmation, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pictures import lifeline
from hourpass.server.console.pictures.lifeline import Moment
from hourpass.server.console.rendering import distance_words, short_grant, show_count

STATES = (
    ("", "any"),
    ("live", "live"),
    ("expired", "expired"),
    ("ended", "ended with its key"),
    ("disabled", "its key is disabled"),
    ("revoked", "revoked"),
    ("replayed", "replayed"),
    ("token_revoked", "revoked by its client"),
)

MARKS = {
    "opened": "keys",
    "rotations_not_remembered": "clock",
    "rotated": "grant",
    "retried_elsewhere": "retry",
    "ahead": "warning",
    "replayed": "warning",
    "token_revoked": "cross",
    "revoked": "cross",
    "key_ended": "cross",
    "expired": "clock",
    "expires": "clock",
}
"""The kind of an event -> the icon beside it."""


def _show_grants(visit: Visit) -> PageAnswer:
    text = visit.query.get("key", "").strip()
    if (grant := _found(visit, text)) is not None:
        return GoTo(f"/grants/{grant.grant_id}?key={grant.key_id}")
    state = visit.query.get("state", "")
    conditions = {"state": state or None, "cursor": visit.query.get("cursor")}
    problem, page = "", shapes.GrantPage(data=[], next=None)
    try:
        if text:
            page = _of_key(visit, text, conditions)
        else:
            page = visit.call(LIST_GRANTS, msgspec.convert(conditions, shapes.ListGrants))
    except NotFound as error:
        problem = error.detail
    except msgspec.ValidationError:
        problem = "There is no such state."
    filters = {"key": text, "state": state}
    return Shown(
        "grants.html",
        {
            "grants": page.data,
            "filters": filters,
            "states": STATES,
            "problem": problem,
            "several": problem == _SEVERAL,
            **visit.pager(filters, page.next),
        },
    )


_SEVERAL = "Several keys may be like that."

_NOT_FOUND = "No key and no grant is like that."

_PART_OF_ID = "A grant is found by its whole id, which its page shows. This is a part of one."

_END_OF_ID = re.compile("…?[0-9a-fA-F]{8}")


def _of_key(visit: Visit, text: str, conditions: Mapping[str, str | None]) -> shapes.GrantPage:
    """The grants of the key that a text names: by its id, or else by what is part of its name.

    Raises:
        NotFound: if there is no such key. Its detail says if there are several.
    """

    def asked(key_id: str) -> shapes.GrantPage:
        of_key = {**conditions, "key_id": key_id}
        return visit.call(LIST_GRANTS_OF_KEY, msgspec.convert(of_key, shapes.ListGrantsOfKey))

    with suppress(NotFound):
        return asked(text)
    keys = visit.call(LIST_KEYS, shapes.ListKeys(text=text, limit=2))
    if len(keys.data) == 1 and keys.next is None:
        return asked(keys.data[0].key_id)
    if keys.data or keys.next:
        raise NotFound(_SEVERAL)
    raise NotFound(_PART_OF_ID if _END_OF_ID.fullmatch(text) else _NOT_FOUND)


def _found(visit: Visit, text: str) -> shapes.GrantFacts | None:
    """The grant that a text names by itself."""
    if not GRANT_ID_PATTERN.fullmatch(text):
        return None
    try:
        return visit.call(GET_GRANT, shapes.GrantNamed(grant_id=text.lower()))
    except NotFound:
        return None


def _named(visit: Visit) -> shapes.GrantNamed:
    return shapes.GrantNamed(grant_id=visit.path["grant_id"], key_id=visit.query.get("key") or visit.form.get("key"))


def _show_grant(visit: Visit) -> PageAnswer:
    grant = visit.call(GET_GRANT, _named(visit))
    life = visit.call(GRANT_TIMELINE, shapes.GrantNamed(grant_id=grant.grant_id, key_id=grant.key_id))
    past = [each for each in life.events if read_moment(each.at) <= visit.now]
    opened_at, over = read_moment(life.opened_at), life.state not in {"live", "disabled"}
    # What is ahead is long, and would leave no room for what happened.
    ends_at = read_moment(past[-1].at) if over else visit.now + (visit.now - opened_at) // 8
    picture = lifeline(
        f"The life of grant {short_grant(grant.grant_id)}",
        [Moment(read_moment(each.at), each.weight) for each in past],
        opened_at=opened_at,
        ends_at=ends_at,
        now=visit.now,
    )
    values = {
        "grant": grant,
        "key": visit.call(GET_KEY, shapes.KeyNamed(key_id=grant.key_id)) if life.state == "replayed" else None,
        "life": life,
        "picture": picture,
        "marks": MARKS,
        "opened_at": opened_at,
        "ends_at": ends_at,
        "over": over,
    }
    return Shown("grant.html", values)


def _show_revoke(visit: Visit) -> PageAnswer:
    return _revoking(visit, visit.call(GET_GRANT, _named(visit))).page()


def _revoking(visit: Visit, grant: shapes.GrantFacts) -> Confirmation:
    name = grant.key_name or grant.key_id
    effects = [f"Ends 1 grant of {name}. Its access tokens are refused within a second.", _used(visit, grant)]
    path = f"/grants/{grant.grant_id}"
    return Confirmation(
        f"Revoke grant {short_grant(grant.grant_id)}",
        _crumbs(grant),
        "Its client must exchange the key again",
        effects,
        name,
        "Revoke the grant",
        action=f"{path}/revoke",
        back=f"{path}?key={grant.key_id}",
        carried={"key": grant.key_id},
    )


def _used(visit: Visit, grant: shapes.GrantFacts) -> str:
    if grant.refreshed_at is None:
        where = f" from {grant.opened_from}" if grant.opened_from else ""
        return f"It was opened {distance_words(visit.now - read_moment(grant.created_at))}{where}, and never refreshed."
    where = f" from {grant.last_from}" if grant.last_from else ""
    last = distance_words(visit.now - read_moment(grant.refreshed_at))
    return f"It was refreshed {show_count(grant.generation, 'time')}, the last time {last}{where}."


def _crumbs(grant: shapes.GrantFacts) -> list[tuple[str, str]]:
    return [
        ("Keys", "/keys"),
        (grant.key_name or grant.key_id, f"/keys/{grant.key_id}"),
        (f"Grant {short_grant(grant.grant_id)}", f"/grants/{grant.grant_id}?key={grant.key_id}"),
    ]


def _revoke(visit: Visit) -> PageAnswer:
    visit.require_meant(_revoking(visit, visit.call(GET_GRANT, _named(visit))))
    revoked = visit.call(REVOKE_GRANT, _named(visit))
    return GoTo(f"/grants/{revoked.grant_id}?key={revoked.key_id}", "revoked")


SECTION = Section(
    "Grants",
    "grant",
    (
        View("/grants", LIST_GRANTS, _show_grants),
        View("/grants/{grant_id}", GET_GRANT, _show_grant),
        View("/grants/{grant_id}/revoke", REVOKE_GRANT, _show_revoke, _revoke),
    ),
    {"revoked": "The grant is revoked, and its access tokens with it."},
)
