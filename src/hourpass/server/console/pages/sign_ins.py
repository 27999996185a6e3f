"""Who is signed in, where the person is, and the way out everywhere. An owner ends the sign-ins of others."""

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import END_SIGN_IN, LIST_SIGN_INS
from hourpass.core.errors import NotFound
from hourpass.core.sign_in import sign_in_name
from hourpass.server.console.page import Confirmation, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.rendering import distance_words


def _show(visit: Visit) -> PageAnswer:
    """The person's sign-ins, and then those of others."""
    everyone = visit.call(LIST_SIGN_INS, shapes.Nothing()).data
    mine = [each for each in everyone if each.actor == visit.person.sign_in.who]
    others = [each for each in everyone if each.actor != visit.person.sign_in.who]
    this = sign_in_name(visit.person.sign_in)
    return Shown("sign_ins.html", {"mine": mine, "others": others, "this": this})


def _ending(visit: Visit) -> Confirmation:
    for one in visit.call(LIST_SIGN_INS, shapes.Nothing()).data:
        if one.sign_in_id == visit.path["sign_in_id"]:
            break
    else:
        raise NotFound("this sign-in has ended")
    name, where = one.name or one.actor, f" from {one.address}" if one.address else ""
    began, used = (distance_words(visit.now - read_moment(at)) for at in (one.started_at, one.seen_at))
    effects = [
        f"Ends 1 sign-in{where}. It began {began}, and was last used {used}.",
        "They can sign in again. To keep them out, disable or revoke the key."
        if one.key_id
        else "They can sign in again with hourpass console, as long as they have an account on the server’s machine.",
    ]
    return Confirmation(
        f"End a sign-in of {name}",
        [("Sessions", "/sessions")],
        f"{name} is signed out of the console at once",
        effects,
        name,
        "End the sign-in",
        action=f"/sessions/{one.sign_in_id}/end",
        back="/sessions",
    )


def _show_end(visit: Visit) -> PageAnswer:
    return _ending(visit).page()


def _end(visit: Visit) -> PageAnswer:
    visit.require_meant(_ending(visit))
    visit.call(END_SIGN_IN, shapes.SignInNamed(sign_in_id=visit.path["sign_in_id"]))
    return GoTo("/sessions", "ended")


SECTION = Section(
    "Sessions",
    "clock",
    (
        View("/sessions", LIST_SIGN_INS, _show),
        View("/sessions/{sign_in_id}/end", END_SIGN_IN, _show_end, _end),
    ),
    {"ended": "The sign-in has ended."},
    in_menu=False,
)
