"""The shapes of requests and answers, and how an answer becomes bytes."""

from typing import Any, Literal, get_type_hints

import msgspec

from hourpass.core.claims import UnverifiedClaims

JSON = b"application/json"
"""Exactly this: a charset parameter breaks the source's official Node client."""

FORM = "application/x-www-form-urlencoded"


class ExchangeRequest(msgspec.Struct, frozen=True, rename={"api_key": "apiKey", "expires_in": "expiresIn"}):
    """`POST /auth/api-key`. `expires_in` is in seconds and can only shorten. `scope` and `audience` can only narrow."""

    api_key: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return "ExchangeRequest(…)"


class RotateRequest(msgspec.Struct, frozen=True, rename={"api_key": "apiKey"}):
    """`POST /auth/rotate`: the key whose next secret is asked for."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "RotateRequest(…)"


class RotateAnswer(msgspec.Struct, frozen=True, rename={"api_key": "apiKey"}):
    """The answer of `POST /auth/rotate`: the same key with its next secret."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "RotateAnswer(…)"


class RefreshRequest(msgspec.Struct, frozen=True, rename={"refresh_token": "refreshToken", "expires_in": "expiresIn"}):
    """`POST /auth/refresh`. `expires_in` is in seconds and can only shorten. `scope` narrows this access token alone.

    `audience` must be that of the grant's key.
    """

    refresh_token: str
    scope: str | None = None
    expires_in: int | None = None
    audience: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return "RefreshRequest(…)"


class TokenAnswer(msgspec.Struct, frozen=True):
    """The answer of both token endpoints. `expires_in` is in seconds."""

    token_type: str
    expires_in: int
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "TokenAnswer(…)"


class OAuthTokenAnswer(TokenAnswer, frozen=True):
    """The answer of `POST /oauth/token`, which also says the scope (RFC 6749 §5.1)."""

    scope: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "OAuthTokenAnswer(…)"


class OAuthTokenRequest(msgspec.Struct, frozen=True):
    """The form of `POST /oauth/token` (RFC 6749 §4.4.2 and §6). Client id and secret may come by Basic instead."""

    grant_type: Literal["client_credentials", "refresh_token"]
    refresh_token: str | None = None
    scope: str | None = None
    audience: str | None = None
    resource: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return "OAuthTokenRequest(…)"


class TokenReference(msgspec.Struct, frozen=True):
    """The form of `POST /oauth/revoke` (RFC 7009 §2.1) and `/oauth/introspect` (RFC 7662 §2.1)."""

    token: str
    token_type_hint: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return "TokenReference(…)"


_Known: Any = msgspec.defstruct(
    "_Known",
    [
        ("active", bool),
        ("token_type", str | None, None),
        *((claim, shape | None, None) for claim, shape in get_type_hints(UnverifiedClaims).items()),
    ],
    frozen=True,
    omit_defaults=True,
)


class Introspection(_Known):  # type: ignore[misc]  # its members come from the one list of claims
    """What is known about a token (RFC 7662 §2.2): `active`, and its claims. `exp` and `iat` are epoch seconds.

    What is `custom` travels as members of its own.
    """


class LeakFinding(msgspec.Struct, frozen=True):
    """One leaked secret in a report of GitHub's secret scanning (`POST /leaks/github`)."""

    token: str
    url: str | None = None

    def __repr__(self) -> str:
        """Without the secret."""
        return "LeakFinding(…)"


encode = msgspec.json.Encoder().encode


def write_tokens(access_token: bytes, refresh_token: bytes, expires_in: int) -> bytes:
    """A `TokenAnswer` as JSON, without its detour over text: nothing in a token needs escaping."""
    return b'{"token_type":"Bearer","expires_in":%d,"access_token":"%b","refresh_token":"%b"}' % (
        expires_in,
        access_token,
        refresh_token,
    )


def write_introspection(answer: Introspection) -> bytes:
    """An introspection as JSON, in which the claims of a key's own are members of their own."""
    told = encode(msgspec.structs.replace(answer, custom=None))
    return told[:-1] + b"," + encode(dict(answer.custom))[1:] if answer.custom else told
