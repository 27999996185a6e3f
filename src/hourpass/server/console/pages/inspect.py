"""Inspect: paste a token and see what it says, and whether it is accepted or why not. And the emergency brake."""

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment
from hourpass.admin.operations import INSPECT_TOKEN, REVOKE_ISSUED_BEFORE, REVOKE_TOKEN
from hourpass.core.errors import InvalidRequest, NotFound
from hourpass.server.console.page import GoTo, PageAnswer, Section, Shown, View, Visit

BRAKE = "every token"
"""What somebody types who means it."""


def _show(visit: Visit) -> PageAnswer:
    return Shown("inspect.html", {"token": "", "facts": None})


def _inspect(visit: Visit) -> PageAnswer:
    token = visit.form.get("token", "").strip()
    facts = visit.call(INSPECT_TOKEN, shapes.TokenGiven(token=token))
    return Shown("inspect.html", {"token": token, "facts": facts})


def _revoke(visit: Visit) -> PageAnswer:
    token = visit.form.get("token", "").strip()
    try:
        revoked = visit.call(REVOKE_TOKEN, shapes.TokenGiven(token=token))
    except (NotFound, InvalidRequest) as error:
        facts = visit.call(INSPECT_TOKEN, shapes.TokenGiven(token=token))
        return Shown("inspect.html", {"token": token, "facts": facts, "problem": f"{error.detail}."}, 422)
    return GoTo("/inspect", revoked.revoked)


def _show_brake(visit: Visit) -> PageAnswer:
    return _ask(visit, "")


def _ask(visit: Visit, problem: str) -> Shown:
    return Shown(
        "confirm.html",
        {
            "title": "Refuse every token until now",
            "crumbs": [("Inspect", "/inspect")],
            "consequence": "This is the emergency brake",
            "effects": [
                f"Every access token of every key that was issued before {known_moment(visit.now)} is refused at once.",
                "Grants go on: each client refreshes once, and has a good token again.",
                "All clients come at the same time.",
            ],
            "action": "/inspect/brake",
            "carried": {},
            "expected": BRAKE,
            "verb": "Refuse them",
            "back": "/inspect",
            "problem": problem,
        },
        422 if problem else 200,
    )


def _brake(visit: Visit) -> PageAnswer:
    if visit.form.get("confirm", "").strip() != BRAKE:
        return _ask(visit, "Type the two words.")
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
