"""Which credential a request carries: the one reader of `Authorization` (RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 7617).

A request may have one such header, with one scheme and one credential. The scheme's case does not matter, one or more
spaces follow it, and trailing spaces and tabs are not part of the value. Nothing else is stripped or repaired. The
content of a token is judged later, by its verifier: a malformed token is not a malformed request (RFC 6750 §3.1).

If the operator allows it, an API key may also come as a bearer credential or in a header of its own (`KeySources`). A
request carries one credential, wherever it is: a second one is refused, as a second `Authorization` header is.
"""

import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hourpass.core.errors import InvalidRequest

MAX_BASIC_LENGTH = 8_192
"""The longest base64 of Basic that is read, in bytes. Our keys are far shorter. Tokens are limited by the verifier."""

_KEY = re.compile(rb"[\x21-\x7E]{1,512}", re.ASCII)
"""What an API key may be: our own, or one that was imported. A longer bearer credential is read as a token."""

_NAME = re.compile(r"[a-z0-9-]{1,100}", re.ASCII)
_NOT_FOR_KEYS = {
    *("authorization", "connection", "content-length", "content-type", "cookie", "expect", "forwarded", "host"),
    *("keep-alive", "proxy-authorization", "proxy-connection", "set-cookie", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
"""Headers that mean something else: a proxy may change or drop them, or they say how the request is to be read."""

UnverifiedToken = bytes
"""A bearer token, unverified."""


class Basic(NamedTuple):
    """User name and password of HTTP Basic (RFC 7617), unverified. The repr shows neither of them."""

    unverified_user: str
    unverified_password: str

    @property
    def unverified_key(self) -> str:
        """The API key, if this carries one: it is the user name, and the password does not matter."""
        return self.unverified_user

    def __repr__(self) -> str:
        """Without the credentials."""
        return "Basic(…)"


class RawKey(NamedTuple):
    """An API key that came by itself, unverified: as a bearer credential, or in the header of this name."""

    unverified_key: str
    header: str = ""

    def __repr__(self) -> str:
        """Without the key."""
        return "RawKey(…)"


PresentedCredential = UnverifiedToken | Basic | RawKey
"""What a request may carry."""


class KeySources(NamedTuple):
    """The places of an API key in a request to a protected endpoint. Header names are in lower case."""

    basic: bool = False
    bearer: bool = False
    headers: tuple[bytes, ...] = ()

    def accepts(self, key: Basic | RawKey) -> bool:
        """Whether a key may come this way. Basic is read in any case, as it carries an OAuth client's credentials."""
        return self.basic or not isinstance(key, Basic)


BASIC = KeySources(basic=True)
"""As the user name of HTTP Basic, and nowhere else."""


def read_key_source(text: str) -> str:
    """One source in its normal form: `basic`, `bearer` or `header:name`.

    Raises:
        ValueError: if it is none of these, or the header is not one for keys.
    """
    kind, colon, name = text.partition(":")
    if kind in ("basic", "bearer") and not colon:
        return kind
    if kind != "header" or not colon:
        raise ValueError("wants basic, bearer or header:NAME: a key in a URL or a cookie ends up in logs and browsers")
    return f"header:{own_header(name)}"


def own_header(name: str) -> str:
    """The name of a header that an operator chose, in lower case.

    Raises:
        ValueError: if it is not a header's name, or the header means something else.
    """
    name = name.lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError("the name of a header has letters, digits and hyphens, such as X-API-Key")
    if name in _NOT_FOR_KEYS or name.startswith(("hourpass", "x-forwarded-")):
        raise ValueError(f"{name} means something else: take a header of your own, such as X-API-Key")
    return name


def claim_header(name: str) -> str:
    """The name of a header for a claim, in lower case: one of the operator's own, or `Hourpass-Claim-…`.

    A proxy that keeps clients' `Hourpass-…` away protects the latter without another line.

    Raises:
        ValueError: as `own_header`.
    """
    own = name.lower().removeprefix("hourpass-claim-")
    if own == name.lower():
        return own_header(name)
    if _NAME.fullmatch(own) is None:
        raise ValueError("Hourpass-Claim- is followed by letters, digits and hyphens, as in Hourpass-Claim-Tenant")
    return f"hourpass-claim-{own}"


def read_key_sources(texts: Iterable[str]) -> KeySources:
    """Several sources. None of them means that tokens alone are accepted.

    Raises:
        ValueError: as `read_key_source`.
    """
    sources = dict.fromkeys(map(read_key_source, texts))
    names = (source.removeprefix("header:").encode() for source in sources if ":" in source)
    return KeySources("basic" in sources, "bearer" in sources, tuple(names))


CredentialReader = Callable[[Sequence[tuple[bytes, bytes]]], PresentedCredential | None]
"""`read_credential` for some sources."""


def reader(sources: KeySources) -> CredentialReader:
    """`read_credential` for these sources. Without any, reading a credential does not look for them."""
    if sources.bearer or sources.headers:
        return lambda headers: read_credential(headers, sources)
    return _read_headers


def read_credential(headers: Sequence[tuple[bytes, bytes]], sources: KeySources = BASIC) -> PresentedCredential | None:
    """Read the credential of a request from its headers, whose names are in lower case.

    None if there is none: no header of `sources` with a value, and no `Authorization` with the scheme Bearer or Basic.

    Raises:
        InvalidRequest: if there are several credentials or `Authorization` headers, or one cannot be read.
    """
    if not sources.bearer and not sources.headers:
        return _read_headers(headers)
    values = [value for name, value in headers if name == b"authorization"]
    if (key := _key_of_its_own(headers, sources.headers)) is not None:
        if len(values) > 1 or (values and _read(values[0], sources) is not None):
            raise InvalidRequest("two credentials")
        return key
    return read_authorization(values, sources)


def _read_headers(headers: Sequence[tuple[bytes, bytes]]) -> PresentedCredential | None:
    values: tuple[bytes, ...] = ()
    for name, value in headers:  # faster than a comprehension, and each request to a protected API pays
        if name == b"authorization":
            values += (value,)
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
    return _read(value, BASIC)


def read_authorization(values: Sequence[bytes], sources: KeySources) -> PresentedCredential | None:
    """The same of the values of all `Authorization` headers, for a caller whose keys come in no header of their own."""
    try:
        [value] = values
    except ValueError:
        if not values:
            return None
        raise InvalidRequest("several Authorization headers") from None
    scheme, _, token = value.rpartition(b" ")
    if scheme == b"Bearer" and token and token[-1] != 9:  # as above
        return _key_or_token(token) if sources.bearer else token
    return _read(value, sources)


def _read(value: bytes, sources: KeySources) -> PresentedCredential | None:
    scheme, _, rest = value.rstrip(b" \t").partition(b" ")
    credential = rest.lstrip(b" ")
    match scheme.lower():
        case b"bearer":
            if not credential or b" " in credential:
                raise InvalidRequest("not exactly one bearer token")
            return _key_or_token(credential) if sources.bearer else credential
        case b"basic":
            return _basic(credential)
        case _:
            return None


def _key_or_token(credential: bytes) -> UnverifiedToken | RawKey:
    """A bearer credential, if a key may come as one. A token of ours has three parts, the first of a JSON object."""
    if (credential.startswith(b"eyJ") and credential.count(b".") == 2) or _KEY.fullmatch(credential) is None:
        return credential
    if b"," in credential:
        raise InvalidRequest("a bearer key with a comma may be two headers")
    return RawKey(credential.decode())


def _key_of_its_own(headers: Sequence[tuple[bytes, bytes]], names: tuple[bytes, ...]) -> RawKey | None:
    """The key in one of these headers. An empty one is ignored. A comma joins two lines of one name (RFC 9110 §5.3)."""
    found = None
    for name, value in headers:
        if name in names and (text := value.strip(b" \t")):
            if found is not None:
                raise InvalidRequest("two API keys")
            if b"," in text or _KEY.fullmatch(text) is None:
                raise InvalidRequest("not exactly one API key in its header")
            found = RawKey(text.decode(), name.decode())
    return found


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
