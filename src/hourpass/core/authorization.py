"""Which credential a request carries: the one reader of `Authorization` (RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 7617).

A request may have one such header, with one scheme and one credential. The scheme's case does not matter, one or more
spaces follow it, and trailing spaces and tabs are not part of the value. Nothing else is stripped or repaired. The
content of a token is judged later, by its verifier: a malformed token is not a malformed request (RFC 6750 §3.1).
"""

import binascii
from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.errors import InvalidRequest

MAX_BASIC_LENGTH = 8_192
"""The longest base64 of Basic that is read, in bytes. Our keys are far shorter. Tokens are limited by the verifier."""

UnverifiedToken = bytes
"""A bearer token, unverified."""


class Basic(NamedTuple):
    """User name and password of HTTP Basic (RFC 7617), unverified. The repr shows neither of them."""

    unverified_user: str
    unverified_password: str

    def __repr__(self) -> str:
        """Without the credentials."""
        return "Basic(…)"


PresentedCredential = UnverifiedToken | Basic
"""What a request may carry."""


def read_credential(values: Sequence[bytes]) -> PresentedCredential | None:
    """Read the credential from the values of all `Authorization` headers of a request.

    None if there is no header, or if its scheme is neither Bearer nor Basic.

    Raises:
        InvalidRequest: if there are several headers, or the credential cannot be read.
    """
    try:
        [value] = values
    except ValueError:
        if not values:
            return None
        raise InvalidRequest("several Authorization headers") from None
    # The common case costs as little work as possible: one space, and no tab at the end.
    scheme, _, token = value.rpartition(b" ")
    if scheme == b"Bearer" and token and token[-1] != 9:
        return token
    return _read(value)


def _read(value: bytes) -> PresentedCredential | None:
    scheme, _, rest = value.rstrip(b" \t").partition(b" ")
    credential = rest.lstrip(b" ")
    match scheme.lower():
        case b"bearer":
            if not credential or b" " in credential:
                raise InvalidRequest("not exactly one bearer token")
            return credential
        case b"basic":
            return _basic(credential)
        case _:
            return None


def _basic(credential: bytes) -> Basic:
    if len(credential) > MAX_BASIC_LENGTH:
        raise InvalidRequest("Basic is too long")
    try:
        user, colon, password = binascii.a2b_base64(credential, strict_mode=True).decode().partition(":")
    except ValueError as error:
        raise InvalidRequest("Basic is not base64 of UTF-8") from error
    if not colon:
        raise InvalidRequest("Basic without a colon")
    return Basic(user, password)
