"""Inspect: paste a token and see what it says, and whether it is accepted or why not. And the emergency brake."""

from collections.abc import Mapping
from typing import Any

import msgspec
from markupsafe import Markup

from hourpass.admin import shapes
from hourpass.admin.operations import GET_GRANT, INSPECT_TOKEN, REVOKE_ISSUED_BEFORE, REVOKE_TOKEN
from hourpass.core.errors import InvalidRequest, NotFound
from hourpass.server.console.page import Confirmation, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages.alive import alive
from hourpass.server.console.rendering import as_sentence, show_moment

BRAKE = "every token"
"""What somebody types who means it."""


KINDS: Mapping[shapes.TokenKind, str] = {
    "access_token": "An access token",
    "refresh_token": "A refresh token",
    "api_key": "An API key",
    "unknown": "Not a known token",
}


def _show(visit: Visit) -> PageAnswer:
    return Shown("inspect.html", {"facts": None})


def _inspect(visit: Visit) -> PageAnswer:
    return Shown("inspect.html", _explained(visit, visit.form.get("token", "").strip()))


def _explained(visit: Visit, token: str) -> dict[str, Any]:
    """What the page says of a token. The token itself is not among it."""
    facts = visit.call(INSPECT_TOKEN, shapes.TokenGiven(token=token))
    words = facts.words.removeprefix("yes, ").removeprefix("no: ")
    told = msgspec.to_builtins(facts)  # without the members that are not known
    ended_at = None
    if facts.kind == "refresh_token" and "grant_id" in told:
        grant = visit.call(GET_GRANT, shapes.GrantNamed(grant_id=told["grant_id"], key_id=told["key_id"]))
        ended_at = grant.ended_at
    return {"facts": told, "kind": KINDS[facts.kind], "words": words[:1].upper() + words[1:], "ended_at": ended_at}


def _revoke(visit: Visit) -> PageAnswer:
    """Revoke the token that was pasted again, if the name of its key was typed.

    Also if the token is not accepted: a refresh token that was used before still names a grant that may live.
    """
    token = visit.form.get("again", "").strip()
    shown = _explained(visit, token)
    facts = shown["facts"]
    if "key_id" not in facts:
        visit.require_meant(None)  # not a token of ours: the operation refuses it
    elif not visit.is_meant(facts["key_name"] or facts["key_id"]):
        return Shown("inspect.html", {**shown, "unconfirmed": "This is not the name. Nothing was changed."}, 422)
    try:
        revoked = visit.call(REVOKE_TOKEN, shapes.TokenGiven(token=token))
    except (NotFound, InvalidRequest) as error:
        problem = as_sentence(error.detail)
        return Shown("inspect.html", {**shown, "problem": problem}, 422)
    return GoTo("/inspect", revoked.revoked)


def _show_brake(visit: Visit) -> PageAnswer:
    return _braking(visit).page()


def _braking(visit: Visit) -> Confirmation:
    refused = Markup("Every access token of every key that was issued before {} is refused at once.")
    effects = [
        refused.format(show_moment(visit.now)),
        alive(visit),
        "Grants go on: each client refreshes once, and has a good token again. All come at the same time.",
    ]
    return Confirmation(
        "Refuse every token until now",
        [("Inspect", "/inspect")],
        "This is the emergency brake",
        effects,
        BRAKE,
        "Refuse them",
        action="/inspect/brake",
        back="/inspect",
    )


def _brake(visit: Visit) -> PageAnswer:
    visit.require_meant(_braking(visit))
    visit.call(REVOKE_ISSUED_BEFORE, shapes.RevokeIssuedBefore())
    return GoTo("/inspect", "braked")


SECTION = Section(
    "Inspect",
    "inspect",
    (
        View("/inspect", INSPECT_TOKEN, _show, _inspect),
        View("/inspect/revoke", REVOKE_TOKEN, None, _revoke),
        View("/inspect/brake", REVOKE_ISSUED_BEFORE, _show_brake, _brake),
    ),
    {
        "access": "The access token is revoked. Its grant goes on.",
        "grant": "The grant of the token is revoked, and its access tokens with it.",
        "braked": "Every access token that was issued until now is refused.",
    },
)
