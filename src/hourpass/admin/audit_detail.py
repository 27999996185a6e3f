"""How the detail of a line of the audit trail is told: in the trail's list, in events and in webhooks alike."""

from collections.abc import Mapping

from hourpass.admin.instants import moment

_INSTANTS = dict.fromkeys(
    ("signs_from", "used_from", "signs_until", "expires_at", "raw_until", "since", "began"), 1
) | {"issued_before": 1_000}
"""Members that are instants, and their unit in milliseconds."""


def told_detail(detail: Mapping[str, object]) -> dict[str, object]:
    """What an event says besides, with its instants in RFC 3339."""
    return {
        name: moment(value * _INSTANTS[name]) if name in _INSTANTS and isinstance(value, int) else value
        for name, value in detail.items()
    }
