"""Makes pages of templates: the Jinja environment, with the words and pictures that all templates use.

Everything is escaped, unless one of our own functions made it. A name that a page does not give is an error.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hourpass.core.admin_access import role_in_words
from hourpass.server.console import pictures
from hourpass.server.console.assets import assets
from hourpass.server.console.icons import icon, shape
from hourpass.server.console.used_forms import new_form_id

BASE = "/console"
"""Where the console is on the admin listener."""

TONES = {
    "active": "good",
    "live": "good",
    "valid": "good",
    "signing": "good",
    "ok": "good",
    "delivered": "good",
    "published": "accent",
    "pending": "accent",
    "admin": "accent",
    "expiring": "warn",
    "disabled": "warn",
    "verify-only": "warn",
    "failing": "warn",
    "revoked": "bad",
    "replayed": "bad",
    "failed": "bad",
    "invalid": "bad",
}
"""The tones of the words that badges show. A state that is not here is over, or says nothing good or bad."""

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def render_page(template: str, values: Mapping[str, Any]) -> bytes:
    """A page. Raises UndefinedError if a template needs a value that is not given."""
    return _environment().get_template(template).render(values).encode()


def own_path(path: str) -> str:
    """The address of a form: a path of the console's. Raises ValueError for one that could lead elsewhere."""
    if _OWN_PATH.fullmatch(path) is None:
        raise ValueError("this is not where a form may lead")
    return BASE + path


_OWN_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hourpass.server.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "base": BASE,
        "own": own_path,
        "asset": lambda name: f"{BASE}/assets/{assets()[name].served_as}",
        "icon": icon,
        "shape": shape,
        "tone_of": lambda word: TONES.get(word, "idle"),
        "pictures": pictures,
        "new_form_id": new_form_id,
        # Values of pages that most of them do not need.
        "flash": "",
        "visit": None,
        "problem": "",
        "unconfirmed": "",
    }
    environment.filters |= {
        "moment": show_moment,
        "ago": show_ago,
        "span": show_span,
        "count": show_count,
        "latest": latest_use,
        "why": show_why,
        "sentence": as_sentence,
        "role": role_in_words,
        "short_grant": short_grant,
    }
    return environment


def as_instant(at: int | str | datetime) -> datetime:
    """An instant as epoch milliseconds, as RFC 3339 text or as it is."""
    if isinstance(at, int):
        return datetime.fromtimestamp(at / 1000, UTC)
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)


def show_moment(at: int | str | datetime | None, empty: str = "–") -> Markup:
    """An instant for people, to the second and in UTC, with the exact one for programs."""
    if at is None:
        return Markup("{}").format(empty)
    when = as_instant(at).astimezone(UTC)
    return Markup('<time class="nowrap" datetime="{:%Y-%m-%dT%H:%M:%SZ}">{} {:%b %Y, %H:%M:%S} UTC</time>').format(
        when, when.day, when
    )


def show_ago(at: int | str | datetime | None, now: int, empty: str = "never") -> Markup:
    """How long ago an instant was, or in how long it is, with the exact one for a reader who points at it."""
    if at is None:
        return Markup("{}").format(empty)
    when = as_instant(at).astimezone(UTC)
    words = distance_words(now - round(when.timestamp() * 1000))
    return Markup(
        '<time class="nowrap" datetime="{0:%Y-%m-%dT%H:%M:%SZ}" title="{0:%Y-%m-%d %H:%M:%S} UTC">{1}</time>'
    ).format(when, words)


def distance_words(ago: int) -> str:
    """How long ago something was, in words: `12 min ago`. Of a negative one, in how long it will be."""
    if abs(ago) < 1_000:
        return "just now" if ago >= 0 else "now"
    return f"{show_span(ago)} ago" if ago > 0 else f"in {show_span(-ago)}"


def show_span(milliseconds: int) -> str:
    """A duration in the largest unit that fits, and in the next one while the number is small: `1 d 4 h`, `12 min`."""
    left = max(0, milliseconds)
    for at, (unit, size) in enumerate(_UNITS):
        if left >= size:
            many, left = divmod(left, size)
            finer, step = _UNITS[at + 1] if at + 1 < len(_UNITS) else ("", 0)
            return f"{many} {unit} {left // step} {finer}" if many < 3 and step and left >= step else f"{many} {unit}"
    return "0 s"


def show_count(number: int, noun: str = "", plural: str = "") -> str:
    """A number with its noun: `1 grant`, `12,400 grants`."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def latest_use(uses: Mapping[str, Any]) -> tuple[str, Any]:
    """The kind of the latest of a key's uses, and the use."""
    return max(uses.items(), key=lambda kind_and_use: as_instant(kind_and_use[1].at))


def short_grant(grant_id: str) -> str:
    """A grant for people, by the end of its id: the beginning is when it was opened, and like that of others."""
    return f"…{grant_id[-8:]}"


def as_sentence(words: str) -> str:
    """The words of an error as a sentence, with a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def show_why(word: str) -> str:
    """Why a key was ended, after the words "it was ended"."""
    return {
        "exposed": "by somebody who had the key itself",
        "leaked": "because it leaked",
    }.get(word, "by an operator")
