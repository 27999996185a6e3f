"""Whether a token is valid, in the words for an operator: a stable word for the reason, and a sentence."""

from typing import Literal, NamedTuple, assert_never

from hourpass.core.api_key import ApiKey, KeyState, key_state
from hourpass.core.claims import UnverifiedClaims
from hourpass.core.duration import span
from hourpass.core.errors import InvalidToken, RefusalReason, TokenProblem
from hourpass.core.grant import Ahead, Burst, Dead, Decision, Grant, Replay, Retry, Rotate
from hourpass.core.policy import SECOND, Policy
from hourpass.core.revocation import Kind

WithoutProblem = Literal[
    "grant_revoked",
    "key_revoked",
    "key_tokens_ended",
    "issued_before",
    "signing_key_gone",
    "forged",
    "strange",
    "api_key",
]
"""Why a token is refused that has no problem of its own and no decision on a grant."""

Reason = TokenProblem | RefusalReason | WithoutProblem
"""Why a token is refused. `strange` is one that this server did not make, as far as the caller may know."""


class TokenWorth(NamedTuple):
    """What a token is worth. `reason` is None if it is valid."""

    reason: Reason | None
    words: str

    @property
    def valid(self) -> bool:
        """Whether it is accepted."""
        return self.reason is None


NOT_A_TOKEN = TokenWorth("strange", "no: this is not a token, or a part of it is missing")

STRANGE = TokenWorth("strange", "no: this server did not make it")

FROM_ELSEWHERE = TokenWorth("strange", "no: it comes from another server, or its signing key was withdrawn")

SIGNING_KEY_GONE = TokenWorth("signing_key_gone", "no: its signing key is gone")

API_KEY = TokenWorth(
    "api_key", "no: it looks like an API key, which is not a token. Whether the key is good was not looked up"
)

_REVOKED: dict[Kind, TokenWorth] = {
    "token": TokenWorth("revoked", "no: it was revoked"),
    "grant": TokenWorth("grant_revoked", "no: its grant was revoked"),
    "issued_before": TokenWorth("issued_before", "no: all tokens issued before a certain time were revoked"),
}

_OF_KEY: dict[KeyState, TokenWorth] = {
    "revoked": TokenWorth("key_revoked", "no: its API key was revoked"),
    "expired": TokenWorth("key_disabled", "no: its API key has expired"),
    "disabled": TokenWorth("key_disabled", "no: its API key is disabled until somebody enables it"),
    "active": TokenWorth(
        "key_tokens_ended",
        "no: its API key was disabled, changed or replaced since, which ended the tokens from before",
    ),
}
"""What became of a key, to the holder of a token that ended with it."""

_WITHOUT_KEY = TokenWorth("key_revoked", "no: this database does not have its API key")

_DEAD: dict[RefusalReason, str] = {
    "replayed": "its grant was revoked, because one of its refresh tokens was used twice: it may be stolen",
    "revoked": "its grant was revoked",
    "address_not_allowed": "its API key may not be used from this address",
    "expired": "it has expired",
    "unknown": "this database does not have its grant: closed, pruned, or made since a backup that was restored",
}


def forged(kid: str) -> TokenWorth:
    """A token that names a signing key of ours which did not sign it."""
    return TokenWorth("forged", f"no: forged or damaged: {kid} did not sign it")


def revoked_by(kind: Kind, key: ApiKey | None, now: int) -> TokenWorth:
    """An access token that an entry of this kind refuses. `key` is that of the token, as it is now."""
    return _ended_with(key, now) if kind == "key" else _REVOKED[kind]


def _ended_with(key: ApiKey | None, now: int) -> TokenWorth:
    return _WITHOUT_KEY if key is None else _OF_KEY[key_state(key, now)]


def valid_access(claims: UnverifiedClaims, now: int) -> TokenWorth:
    """An access token that nothing refuses. `now` is epoch milliseconds."""
    return TokenWorth(None, f"yes, for {span(claims.exp * SECOND - now)} more")


def invalid_access(error: InvalidToken, claims: UnverifiedClaims, now: int) -> TokenWorth:
    """An access token whose claims are refused."""
    match error.problem:
        case "expired":
            words = f"it expired {span(now - claims.exp * SECOND)} ago"
        case "not_yet_valid":
            words = f"it was issued {span(claims.iat * SECOND - now)} in the future, by this machine's clock"
        case problem:
            words = problem.replace("_", " ")
    return TokenWorth(error.problem, f"no: {words}")


def dead_refresh(reason: RefusalReason) -> TokenWorth | None:
    """A refresh token of ours that is refused. None if the reason says that it is not ours."""
    words = _DEAD.get(reason)
    return None if words is None else TokenWorth(reason, f"no: {words}")


def refresh_worth(
    decision: Decision, grant: Grant, generation: int, policy: Policy, now: int, key: ApiKey | None
) -> TokenWorth:
    """What the decision on a refresh token says. `policy` has the key's own retry window."""
    match decision:
        case Rotate() | Burst():
            left = span(min(grant.idle_expires_at, grant.expires_at) - now)
            return TokenWorth(None, f"yes, until it is used, or for {left} more")
        case Retry():
            used = now - grant.superseded[grant.generation - 1 - generation]
            left = span(policy.retry_window - used)
            return TokenWorth(None, f"yes, for {left} more: it was used {span(used)} ago and may be retried")
        case Replay():
            words = "no: it was used before, and using it again would revoke its grant, because it may be stolen"
            return TokenWorth("replayed", words)
        case Ahead():
            return TokenWorth("ahead", "no: it is newer than this database, which was probably restored from a backup")
        case Dead("key_disabled" as reason):
            return _ended_with(key, now)._replace(reason=reason)
        case Dead(reason):
            return dead_refresh(reason) or TokenWorth(reason, f"no: {reason.replace('_', ' ')}")
        case _:  # pragma: no cover - the type checker proves it unreachable
            assert_never(decision)
