"""Reading an `Authorization` header: exactly one scheme, exactly one credential (RFC 9110 §11.6.2, RFC 6750 §2.1).

The scheme's case does not matter, one or more spaces follow it, and trailing spaces and tabs are not part of the value.
Nothing else is stripped or repaired.
"""

import binascii
from typing import NamedTuple

from hourpass.core.errors import InvalidToken

MAX_VALUE_LENGTH = 8_192 + 64
"""The longest token of ours, and its scheme."""


class Bearer(NamedTuple):
    """A bearer token, unverified. The repr does not show it."""

    unverified_token: bytes

    def __repr__(self) -> str:
        """Without the token."""
        return "Bearer(…)"


class Basic(NamedTuple):
    """User name and password of HTTP Basic (RFC 7617), unverified. The repr shows neither."""

    unverified_user: str
    unverified_password: str

    def __repr__(self) -> str:
        """Without the credentials."""
        return "Basic(…)"


def parse_authorization(value: bytes) -> Bearer | Basic | None:
    """Read the header's value; None where the scheme is not one of ours, which counts as no credential at all.

    Raises:
        InvalidToken: `malformed`.
    """
    if len(value) > MAX_VALUE_LENGTH:
        raise InvalidToken("malformed", "too long")
    scheme, _, rest = value.rstrip(b" \t").partition(b" ")
    credential = rest.lstrip(b" ")
    scheme = scheme.lower()
    if scheme == b"bearer":
        if not credential or b"," in credential or b" " in credential:
            raise InvalidToken("malformed")
        return Bearer(credential)
    if scheme == b"basic":
        return _basic(credential)
    return None


def _basic(credential: bytes) -> Basic:
    try:
        user, colon, password = binascii.a2b_base64(credential, strict_mode=True).decode().partition(":")
    except ValueError as error:
        raise InvalidToken("malformed") from error
    if not colon:
        raise InvalidToken("malformed", "no colon")
    return Basic(user, password)
