"""Grants: what exchanges of a key opened, and the life of one of them."""

import msgspec

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import (
    GET_GRANT,
    GRANT_TIMELINE,
    LIST_GRANTS,
    LIST_GRANTS_OF_KEY,
    REVOKE_GRANT,
)
from hourpass.core.errors import NotFound
from hourpass.core.grant import GRANT_ID_PATTERN
from hourpass.server.console.page import Confirmation, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pictures import lifeline
from hourpass.server.console.pictures.lifeline import Moment
from hourpass.server.console.rendering import distance_words, show_count

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
    key_id = visit.query.get("key", "").strip()
    if (grant := _found(visit, key_id)) is not None:
        return GoTo(f"/grants/{grant.grant_id}?key={grant.key_id}")
    state = visit.query.get("state", "")
    conditions = {"state": state or None, "cursor": visit.query.get("cursor")}
    problem, page = "", shapes.GrantPage(data=[], next=None)
    try:
        if key_id:
            page = visit.call(
                LIST_GRANTS_OF_KEY, msgspec.convert({**conditions, "key_id": key_id}, shapes.ListGrantsOfKey)
            )
        else:
            page = visit.call(LIST_GRANTS, msgspec.convert(conditions, shapes.ListGrants))
    except NotFound:
        problem = "No key and no grant has this id."
    except msgspec.ValidationError:
        problem = "There is no such state."
    filters = {"key": key_id, "state": state}
    return Shown(
        "grants.html",
        {
            "grants": page.data,
            "filters": filters,
            "states": STATES,
            "problem": problem,
            **visit.pager(filters, page.next),
        },
    )


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
        f"The life of grant {grant.grant_id[-8:]}",
        [Moment(read_moment(each.at), each.weight) for each in past],
        opened_at=opened_at,
        ends_at=ends_at,
        now=visit.now,
    )
    values = {
        "grant": grant,
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
        f"Revoke grant {grant.grant_id[-8:]}",
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
        (f"Grant {grant.grant_id[-8:]}", f"/grants/{grant.grant_id}?key={grant.key_id}"),
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
