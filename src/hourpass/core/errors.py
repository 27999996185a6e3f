"""The errors of hourpass: a stable code, public words, and a private detail that is never sent.

    HourpassError
    ├── Refused                  the caller must change something
    │   ├── InvalidRequest       the request itself cannot be read
    │   ├── InvalidCredentials   the API key was not accepted
    │   ├── InvalidGrant         the refresh token was not accepted, and `reason` says what to do next
    │   ├── InvalidScope         a requested scope is unknown or not owned
    │   ├── InvalidTarget        a requested audience is not the key's
    │   ├── UnsupportedGrantType the OAuth 2 grant type is not one of ours
    │   ├── InvalidToken         the access token was not accepted
    │   ├── InsufficientScope    the access token is good, but it lacks a scope
    │   │   └── NotDelegated     no scope helps: a delegated admin key may not do this
    │   ├── Throttled            too many requests, come back after `retry_after` seconds
    │   ├── RotationUnderWay     the rotation before this one is not over, come back after `retry_after` seconds
    │   ├── SelfRotationOff      the API key may not rotate itself
    │   ├── PrivateAddress       a URL leads to an address that is not on the public Internet
    │   ├── ChangedMeanwhile     somebody else changed it first
    │   ├── CallUnderWay         the call with this Idempotency-Key still runs, come back after `retry_after` seconds
    │   ├── KeyReused            the Idempotency-Key came with another call before
    │   ├── AnswerGone           the call was carried out, and the secret that it made cannot be derived again
    │   ├── AheadOfTrail         the caller asks for lines after a number that the audit trail has not reached
    │   ├── NotFound             nothing has that id
    │   └── LoginRequired        the refresh token and the key were refused: another API key is needed
    ├── Unavailable              the caller did nothing wrong and comes back after `retry_after` seconds
    │   ├── StorageUnavailable   the database is locked, full, slow or gone
    │   └── LockTimeout          another process holds the credential's lock for too long
    └── ConfigurationError       the operator must change something
        └── ExtraMissing         an extra of this package must be installed

`code` is the word of RFC 6749 §5.2 or RFC 6750 §3.1, if they have one.
"""

from typing import ClassVar, Literal

RefusalReason = Literal[
    "malformed",
    "access_token_given",
    "expired",
    "replayed",
    "revoked",
    "key_disabled",
    "address_not_allowed",
    "invalid_target",
    "ahead",
    "unknown",
]
"""Why a refresh token was refused.

After `key_disabled` and `address_not_allowed`, the same API key will be refused too. After all others, exchange it.
"""

TokenProblem = Literal[
    "expired",
    "not_yet_valid",
    "signature",
    "issuer",
    "audience",
    "environment",
    "address_not_allowed",
    "revoked",
    "disabled",
    "rotated",
    "exchange_required",
    "malformed",
]
"""The fixed words of `error_description` in a Bearer challenge."""


class HourpassError(Exception):
    """The root of all errors. `detail` is for the operator's log and never reaches a caller."""

    code: ClassVar[str] = "server_error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class Refused(HourpassError):
    """The caller must change something before it tries again."""


class InvalidRequest(Refused):
    """The request cannot be read. `names` are the offending members, or nothing if the whole body is wrong."""

    code = "invalid_request"

    def __init__(self, detail: str = "", *, name: str = "", names: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.names = names or ((name,) if name else ())

    @property
    def name(self) -> str:
        """The first offending member, or an empty string if the whole body is wrong."""
        return self.names[0] if self.names else ""


class InvalidCredentials(Refused):
    """The API key was not accepted.

    `reason` is set only if the key was proven genuine, so nobody can learn anything by guessing keys.
    """

    code = "invalid_client"

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class InvalidGrant(Refused):
    """The refresh token was not accepted (RFC 6749 §5.2)."""

    code = "invalid_grant"

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class InvalidScope(Refused):
    """A requested scope is unknown or not owned by the key (RFC 6749 §5.2)."""

    code = "invalid_scope"


class InvalidTarget(Refused):
    """A requested audience or resource is not one of the key's (RFC 8707 §2)."""

    code = "invalid_target"


class UnsupportedGrantType(Refused):
    """The `grant_type` is not one that this server offers (RFC 6749 §5.2)."""

    code = "unsupported_grant_type"


class InvalidToken(Refused):
    """The access token was not accepted (RFC 6750 §3.1). `problem` is one of the fixed words."""

    code = "invalid_token"

    def __init__(self, problem: TokenProblem, detail: str = "") -> None:
        super().__init__(detail or problem)
        self.problem = problem


class InsufficientScope(Refused):
    """The token is good but does not hold all of `scope` (space-separated), which is needed (RFC 6750 §3.1)."""

    code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__("the token does not hold every scope that this resource asks for")
        self.scope = scope


class NotDelegated(InsufficientScope):
    """The caller has the scope, but its admin key is delegated, and this is not for such a key. `scope` is empty."""

    code = "not_delegated"

    def __init__(self) -> None:
        super().__init__("")
        self.detail = "your admin key is delegated, and this is not for such a key"


class Throttled(Refused):
    """Too many requests. `retry_after` is in whole seconds, at least 1 (RFC 6585 §4)."""

    code = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        super().__init__("over the limit")
        self.retry_after = retry_after


class RotationUnderWay(Refused):
    """The rotation before this one is not over until `ends_at` (epoch milliseconds): the next one must wait.

    Two secrets of an API key are alive, or a signing key or a secret of the server waits to be used.
    """

    code = "rotation_under_way"

    def __init__(self, ends_at: int, now: int, detail: str = "two secrets of the key are alive") -> None:
        super().__init__(detail)
        self.ends_at = ends_at
        self.retry_after = max(1, -((now - ends_at) // 1_000))


class SelfRotationOff(Refused):
    """The API key may not rotate itself: only an operator gives it a new secret."""

    code = "self_rotation_off"


class PrivateAddress(Refused):
    """A URL leads to an address that is not on the public Internet. Nothing is sent there."""

    code = "private_address"


class ChangedMeanwhile(Refused):
    """What a change is based on is not how it is any more (RFC 9110 §15.5.13)."""

    code = "precondition_failed"


class CallUnderWay(Refused):
    """The call that came with this Idempotency-Key still runs, or was interrupted a moment ago."""

    code = "idempotency_under_way"
    retry_after = 1


class KeyReused(Refused):
    """The Idempotency-Key came with another call before."""

    code = "idempotency_key_reused"


class AnswerGone(Refused):
    """The call was carried out, and the secret that it made cannot be derived again."""

    code = "answer_gone"


class AheadOfTrail(Refused):
    """The caller asks for lines after a number that the audit trail has not reached: it was restored to before that."""

    code = "ahead_of_trail"


class NotFound(Refused):
    """Nothing has that id."""

    code = "not_found"


class LoginRequired(Refused):
    """The server accepts neither the refresh token nor the API key, or there is no key. A person must act.

    `reason` is the server's word for it, if it gave one.
    """

    code = "invalid_grant"

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class Unavailable(HourpassError):
    """Something on our side is not ready. `retry_after` is in whole seconds. Never shown as bad credentials."""

    code = "temporarily_unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class StorageUnavailable(Unavailable):
    """The database is locked, full, slow, overloaded or gone."""


class LockTimeout(Unavailable):
    """Another process holds the lock of a shared credential for longer than a refresh takes."""


class ConfigurationError(HourpassError):
    """The operator must change something. The detail is written for the operator to read."""


class ExtraMissing(ConfigurationError):
    """A library is not installed. The detail says which extra of this package brings it."""

    @classmethod
    def of(cls, extra: str, need: str) -> "ExtraMissing":
        """The error for a need, such as `serve needs an extra (apsw is missing)`."""
        return cls(f"{need}: pip install 'hourpass[{extra}]'")


def as_trouble(error: Exception) -> Exception:
    """Turn a shortage of the machine into StorageUnavailable, and return any other error as it is.

    Descriptors, memory and threads run out, and are usually free again soon without help.
    """
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    if isinstance(error, OSError):
        return StorageUnavailable(error.strerror or type(error).__name__)
    if no_thread or isinstance(error, MemoryError):
        return StorageUnavailable(str(error) or "out of memory")
    return error
