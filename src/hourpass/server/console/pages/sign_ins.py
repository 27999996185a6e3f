"""Where somebody is signed in, and the way out everywhere."""

from hourpass.admin.operations import ME
from hourpass.server.console.page import PageAnswer, Section, Shown, View, Visit


def _show(visit: Visit) -> PageAnswer:
    """The person's sign-ins."""
    return Shown("sign_ins.html", {"sign_ins": visit.sign_ins()})


SECTION = Section("Sessions", "clock", (View("/sessions", ME, _show),), in_menu=False)
