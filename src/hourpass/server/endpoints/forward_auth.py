"""Forward auth: a proxy sends us the headers of a request, and passes on what we answer about the caller."""

from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl

from hourpass.core.api_key import ApiKey, normal_scope
from hourpass.core.claims import Claims
from hourpass.core.errors import InsufficientScope, InvalidCredentials, InvalidRequest, InvalidToken, TokenProblem
from hourpass.core.requirement import Requirement
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.telemetry.counts import CELL
from hourpass.server.transport.render import NO_STORE
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.identity import claim_headers, raw_key_end, write_identity
from hourpass.wire.problems import Challenged, challenge

_KEY_PROBLEMS: dict[str | None, TokenProblem] = {
    "expired": "expired",
    "revoked": "revoked",
    "disabled": "disabled",
    "rotated": "rotated",
    "address_not_allowed": "address_not_allowed",
}
"""The problem to report for a refused API key. For every other reason it is `malformed`."""


_BEARER, _API_KEY = CELL["accepted_bearer"], CELL["accepted_api_key"]


async def verify(issuer: Issuer, request: Request, realm: str) -> Reply:
    """`/auth/verify`: 204 with the identity headers, or the challenge (RFC 6750 §3).

    Raises:
        InvalidRequest: if the proxy's own query is broken.
        Unavailable: if no answer is possible for the moment.
    """
    reply = verify_at_once(issuer, request, realm)
    if reply is not None:
        return reply
    needed = read_requirement(request.query, issuer.audience)
    try:
        credential = issuer.read_credential(request.headers)
        if isinstance(credential, bytes):
            claims = await issuer.verify_token(credential, needed, request.address, request.now)
            issuer.counts.cells[_BEARER] += 1
            return _token_identity(issuer, claims)
        if credential is not None:
            key = await issuer.verify_api_key(credential, needed, request.address, request.now)
            issuer.counts.cells[_API_KEY] += 1
            return _key_identity(issuer, key)
    except InvalidCredentials as error:
        return _refusal(issuer, InvalidToken(_KEY_PROBLEMS.get(error.reason, "malformed")), realm)
    except (InvalidToken, InsufficientScope) as error:
        return _refusal(issuer, error, realm)
    return _refusal(issuer, None, realm)


def verify_at_once(issuer: Issuer, request: Request, realm: str) -> Reply | None:
    """The answer of `verify` if it needs no waiting. None if an API key must be looked up, the one sent or the token's.

    Raises what `verify` raises.
    """
    needed = read_requirement(request.query, issuer.audience)
    try:
        credential = issuer.read_credential(request.headers)
        if not isinstance(credential, bytes):
            return _refusal(issuer, None, realm) if credential is None else None
        claims = issuer.verify_token_at_once(credential, needed, request.address, request.now)
        if claims is None:
            return None
        issuer.counts.cells[_BEARER] += 1
        return _token_identity(issuer, claims)
    except (InvalidRequest, InvalidToken, InsufficientScope) as error:
        return _refusal(issuer, error, realm)


def _refusal(issuer: Issuer, error: Challenged | None, realm: str) -> Reply:
    """The challenge. It has no body, because the proxy needs none."""
    issuer.counts.add(f"verify_{_reason(error)}")
    status, words = challenge(error, realm)
    if status == 400:
        status = 401  # nginx's auth_request passes on only 401 and 403, and would turn the 400 of RFC 6750 into a 500
    return Reply(status, [(b"www-authenticate", words.encode()), *NO_STORE])


def _reason(error: Challenged | None) -> str:
    """Why a request is refused, as it is counted."""
    if error is None:
        return "no_credential"
    return error.problem if isinstance(error, InvalidToken) else error.code


@lru_cache(maxsize=4096)
def _identity(
    subject: str,
    key_id: str,
    scope: str,
    environment: str,
    grant: str,
    auth: Literal["bearer", "api-key"],
    more: tuple[tuple[str, str], ...],
    sunset: str = "",
    deprecation: str = "",
) -> Reply:
    headers = [*write_identity(subject, key_id, scope, environment, grant, auth, sunset, deprecation), *more]
    return Reply(204, [(name.lower().encode(), value.encode()) for name, value in headers])


def _token_identity(issuer: Issuer, claims: Claims) -> Reply:
    more = claim_headers(claims.custom, issuer.claim_headers) if issuer.claim_headers else ()
    return _identity(claims.sub, claims.client_id, claims.scope, claims.env, claims.sid, "bearer", more)


def _key_identity(issuer: Issuer, key: ApiKey) -> Reply:
    more = claim_headers(key.claims, issuer.claim_headers)
    end = raw_key_end(key.raw_until, key.raw_until_set_at)
    return _identity(key.subject, key.key_id, key.scope, key.environment, "", "api-key", more, *end)


@lru_cache(maxsize=256)
def read_requirement(query: bytes, audience: str) -> Requirement:
    """What the query of a verify URL requires of a credential for this audience.

    If there are several scopes, in one value or in repeated parameters, all of them are needed. The environment is
    production by default. Unknown and empty parameters are refused: a misspelt one would let every token in.

    Raises:
        InvalidRequest: with the name of the parameter.
    """
    try:
        # Strict parsing refuses empty pairs and pairs without "=".
        pairs = parse_qsl(
            query.decode("ascii"),
            strict_parsing=bool(query),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=32,
        )
    except ValueError as error:
        raise InvalidRequest("the query is malformed") from error
    given: dict[str, list[str]] = {"scope": [], "environment": [], "audience": []}
    for name, value in pairs:
        if name not in given or not value.strip(" "):
            raise InvalidRequest("an unknown or empty parameter", name=name)
        given[name].append(value)
    scope = normal_scope(" ".join(given["scope"]))
    if scope is None:
        raise InvalidRequest("not a scope", name="scope")
    if given["audience"]:
        [audience, *others] = given["audience"]
        if others or not all("\x21" <= letter <= "\x7e" for letter in audience):
            raise InvalidRequest("not one audience", name="audience")
    match given["environment"]:
        case []:
            return Requirement(audience, scope=scope)
        case [("production" | "sandbox") as environment]:
            return Requirement(audience, environment, scope)
        case _:
            raise InvalidRequest("the environment must be either production or sandbox", name="environment")
