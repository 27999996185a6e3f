"""Inspect: paste a token and see what it says, and whether it is accepted or why not. And the emergency brake."""

from collections.abc import Mapping
from typing import Any

import msgspec
from markupsafe import Markup

from hourpass.admin import shapes
from hourpass.admin.operations import INSPECT_TOKEN, REVOKE_ISSUED_BEFORE, REVOKE_TOKEN
from hourpass.core.errors import InvalidRequest, NotFound
from hourpass.server.console.confirmation import Confirmation, asks
from hourpass.server.console.page import GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages.alive import alive
from hourpass.server.console.rendering import as_sentence, show_moment

BRAKE = "every token"
"""The words to type before the emergency brake."""

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
    return {"facts": told, "kind": KINDS[facts.kind], "words": words[:1].upper() + words[1:]}


def _revoke(visit: Visit) -> PageAnswer:
    token = visit.form.get("again", "").strip()
    try:
        revoked = visit.call(REVOKE_TOKEN, shapes.TokenGiven(token=token))
    except (NotFound, InvalidRequest) as error:
        return Shown("inspect.html", {**_explained(visit, token), "problem": as_sentence(error.detail)}, 422)
    return GoTo("/inspect", revoked.revoked)


def _ask_brake(visit: Visit) -> Confirmation:
    return Confirmation(
        title="Refuse every token until now",
        crumbs=[("Inspect", "/inspect")],
        consequence="This is the emergency brake",
        effects=[
            Markup("Every access token of every key that was issued before {} is refused at once.").format(
                show_moment(visit.now)
            ),
            alive(visit),
            "Grants go on: each client refreshes once, and has a good token again. All come at the same time.",
        ],
        action="/inspect/brake",
        verb="Refuse them",
        back="/inspect",
        expected=BRAKE,
    )


def _brake(visit: Visit) -> PageAnswer:
    if not visit.typed(BRAKE):
        return _ask_brake(visit).page("Type the two words.")
    visit.call(REVOKE_ISSUED_BEFORE, shapes.RevokeIssuedBefore())
    return GoTo("/inspect", "braked")


SECTION = Section(
    "Inspect",
    "inspect",
    (
        View("/inspect", INSPECT_TOKEN, _show, _inspect),
        View("/inspect/revoke", REVOKE_TOKEN, None, _revoke),
        View("/inspect/brake", REVOKE_ISSUED_BEFORE, asks(_ask_brake), _brake),
    ),
    {
        "access": "The access token is revoked. Its grant goes on.",
        "grant": "The grant of the token is revoked, and its access tokens with it.",
        "braked": "Every access token that was issued until now is refused.",
    },
)
