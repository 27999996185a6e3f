"""Forward auth: a proxy asks about a request, in its headers, and passes on what we say of the caller."""

from functools import lru_cache
from urllib.parse import parse_qsl

from hourpass.core.api_key import ApiKey, normal_scope
from hourpass.core.authorization import Basic, Bearer, parse_authorization
from hourpass.core.claims import Claims
from hourpass.core.errors import InsufficientScope, InvalidCredentials, InvalidRequest, InvalidToken
from hourpass.core.requirement import Requirement
from hourpass.server.issuer import Issuer
from hourpass.server.render import challenge
from hourpass.server.request import Reply, Request


async def verify(issuer: Issuer, request: Request, realm: str) -> Reply:
    """`/auth/verify`: 204 with the identity headers, or the challenge (RFC 6750 §3).

    Raises:
        InvalidRequest: where the proxy's own query is broken. Unavailable: where nothing can be said for now.
    """
    found = _judge(issuer, request, realm)
    if isinstance(found, Reply):
        return found
    needed = _needed(request.query, issuer.audience)
    try:
        if isinstance(found, Bearer):
            token = found.unverified_token
            return _token_identity(await issuer.verify_token(token, needed, request.address, request.now))
        return _key_identity(await issuer.verify_api_key(found.unverified_user, needed, request.address, request.now))
    except (InvalidCredentials, InvalidToken, InsufficientScope) as error:
        return challenge(error, realm)


def verify_at_once(issuer: Issuer, request: Request, realm: str) -> Reply | None:
    """The same if it waits for nothing; None if an API key has to be looked up: one that came, or that of a token.

    Raises as `verify` does.
    """
    found = _judge(issuer, request, realm)
    return found if isinstance(found, Reply) else None


def _judge(issuer: Issuer, request: Request, realm: str) -> Reply | Basic | Bearer:
    """The answer, or the credential whose API key has to be looked up first."""
    value: bytes | None = None
    try:
        for name, content in request.headers:
            if name == b"authorization":
                if value is not None:
                    raise InvalidToken("malformed", "two Authorization headers")
                value = content
        needed = _needed(request.query, issuer.audience)
        if value is None:
            return challenge(None, realm)
        if value[:7] == b"Bearer " and value[7:8] != b" ":
            # The common case, without building anything. What is not a token is found out by the verifier.
            token = value[7:].rstrip(b" \t")
        else:
            credential = parse_authorization(value)
            if credential is None:
                return challenge(None, realm)
            if isinstance(credential, Basic):
                return credential
            token = credential.unverified_token
        claims = issuer.verify_token_at_once(token, needed, request.address, request.now)
        return Bearer(token) if claims is None else _token_identity(claims)
    except (InvalidToken, InsufficientScope) as error:
        return challenge(error, realm)


@lru_cache(maxsize=4096)
def _identity(subject: str, key_id: str, scope: str, environment: str, grant: str, auth: str) -> Reply:
    """Every header is always there, so that a client's forged one never survives a proxy that only overwrites."""
    return Reply(
        204,
        [
            (b"hourpass-subject", subject.encode()),
            (b"hourpass-key-id", key_id.encode()),
            (b"hourpass-scope", scope.encode()),
            (b"hourpass-environment", environment.encode()),
            (b"hourpass-grant", grant.encode()),
            (b"hourpass-auth", auth.encode()),
        ],
    )


def _token_identity(claims: Claims) -> Reply:
    return _identity(claims.sub, claims.client_id, claims.scope, claims.env, claims.sid, "bearer")


def _key_identity(key: ApiKey) -> Reply:
    return _identity(key.subject, key.key_id, key.scope, key.environment, "", "api-key")


@lru_cache(maxsize=256)
def _needed(query: bytes, audience: str) -> Requirement:
    """What a verify URL asks for, of credentials for an audience.

    Several scopes, in one value or in repeated parameters, mean all of them. The environment is production by default.
    Only known parameters with a value are taken: a misspelt one would let every token in.

    Raises:
        InvalidRequest: naming the parameter.
    """
    try:
        # Strict: a pair without "=", and an empty one, is an error.
        pairs = parse_qsl(
            query.decode("ascii"),
            strict_parsing=bool(query),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=32,
        )
    except ValueError as error:
        raise InvalidRequest("the query is malformed") from error
    given: dict[str, list[str]] = {"scope": [], "environment": []}
    for name, value in pairs:
        if name not in given or not value.strip(" "):
            raise InvalidRequest("an unknown or empty parameter", name=name)
        given[name].append(value)
    scope = normal_scope(" ".join(given["scope"]))
    if scope is None:
        raise InvalidRequest("not a scope", name="scope")
    match given["environment"]:
        case []:
            return Requirement(audience, scope=scope)
        case [("production" | "sandbox") as environment]:
            return Requirement(audience, environment, scope)
        case _:
            raise InvalidRequest("an environment is production or sandbox, and one of them", name="environment")
