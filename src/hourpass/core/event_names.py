"""The names of the audit trail's events, in today's spelling and in that of older programs."""

import re
from typing import NamedTuple, get_args

from hourpass.core.audit import Event

_OF_TWO_WORDS = ("signing_key", "master_key")


def _name(kind: type[NamedTuple]) -> str:
    words = re.sub("(?<=.)([A-Z])", r"_\1", kind.__name__).lower()
    return re.sub(f"^({'|'.join(_OF_TWO_WORDS)}|[a-z]+)_", r"\1.", words)


NAMES: dict[type[Event], str] = {kind: _name(kind) for kind in get_args(Event)}
"""What an event is about, a dot, and what happened: `KeyRotatedUsed` is `key.rotated_used`."""

_RENAMED = {"grant.replayed": "refresh_replayed"}

_NOW = {_RENAMED.get(name, name.replace(".", "_")): name for name in NAMES.values()}
_BEFORE = {now: before for before, now in _NOW.items()}


def event_name(event: Event) -> str:
    """The event's name in the trail."""
    return NAMES[type(event)]


def name_now(name: str) -> str:
    """Today's name of an event, which an older program may have spelt: `key_created` is `key.created`."""
    return _NOW.get(name, name)


def name_before(name: str) -> str:
    """How an older program spelt an event. Its lines stay in the trail as they are."""
    return _BEFORE.get(name, name)
