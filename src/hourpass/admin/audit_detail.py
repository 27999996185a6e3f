"""How the detail of a line of the audit trail is told: in the trail's list, in events and in webhooks alike."""

from collections.abc import Mapping

from hourpass.admin.instants import moment

_INSTANTS = dict.fromkeys(
    ("signs_from", "used_from", "signs_until", "expires_at", "raw_until", "raw_until_set_at", "since", "began"), 1
) | {"issued_before": 1_000}
"""Members that are instants, and their unit in milliseconds."""

_DURATIONS = {"retry_window", "access_token_lifetime"}
"""Members that are durations in milliseconds."""

_MAPPINGS = {"claims", "tags"}
"""Members that earlier versions kept as a list when they were empty."""

_NAMES = {"number": "secret_number"}
"""Members that are kept by the name of a member that every line has: here the number of the line itself."""


def told_detail(detail: Mapping[str, object]) -> dict[str, object]:
    """What an event says besides. Instants are in RFC 3339 and durations in seconds, as in the admin API.

    So are those among the old and new values of a change. No member has the name of one that every line has.
    """
    return {_NAMES.get(name, name): _told(name, value) for name, value in detail.items()}


def _told(name: str, value: object) -> object:
    match value:
        case dict() if name in {"old", "new"}:
            return {member: _told(member, each) for member, each in value.items()}
        case int() if name in _INSTANTS:
            return moment(value * _INSTANTS[name])
        case int() if name in _DURATIONS:
            return value // 1_000
        case [] if name in _MAPPINGS:
            return {}
        case _:
            return value
