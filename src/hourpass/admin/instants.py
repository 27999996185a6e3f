"""How an instant is written for people and in JSON (RFC 3339), and how it is read."""

from datetime import UTC, datetime

from hourpass.core.errors import InvalidRequest
from hourpass.core.key_members import END_OF_TIME


def moment(at: int | None) -> str | None:
    """An instant (epoch milliseconds) in RFC 3339, to the second."""
    return None if at is None else known_moment(at)


def known_moment(at: int) -> str:
    """The same for an instant that is always there."""
    return exact_moment(at // 1000 * 1000)


def exact_moment(at: int) -> str:
    """An instant (epoch milliseconds) in RFC 3339, to the millisecond if it is not a whole second."""
    precision = "milliseconds" if at % 1000 else "seconds"
    second = datetime.fromtimestamp(at // 1000, UTC)  # a fraction would be rounded
    return second.replace(microsecond=at % 1000 * 1000).isoformat(timespec=precision).replace("+00:00", "Z")


def read_moment(text: str) -> int:
    """The epoch milliseconds of an instant in RFC 3339, or of a date. Without a zone it is UTC.

    Raises:
        ValueError: if it is something else, or an instant that cannot be written everywhere.
    """
    at = datetime.fromisoformat(text)
    milliseconds = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    if not 0 <= milliseconds < END_OF_TIME:
        raise ValueError("not between the years 1970 and 9999")
    return milliseconds


def given_moment(name: str, text: str) -> int:
    """The epoch milliseconds of an instant that a caller gave as a member of this name.

    Raises:
        InvalidRequest: naming the member, if it is not an instant.
    """
    try:
        return read_moment(text)
    except ValueError:
        words = f"{name} is not an instant such as 2027-01-31T00:00:00Z, from 1970 to the end of 9998"
        raise InvalidRequest(words, name=name) from None
