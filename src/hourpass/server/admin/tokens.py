"""Tokens: explain one, revoke one, and revoke all that were issued before an instant."""

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import given_moment, known_moment
from hourpass.core.admin_access import require_changeable, sees
from hourpass.core.api_key import ApiKey, from_anywhere
from hourpass.core.claims import Expected, UnverifiedClaims, validate_claims
from hourpass.core.errors import InvalidGrant, InvalidRequest, InvalidToken, NotFound
from hourpass.core.grant import Grant, is_genuine, judge
from hourpass.core.key_shape import BEGINNING
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocations
from hourpass.core.token_worth import (
    API_KEY,
    FROM_ELSEWHERE,
    NOT_A_TOKEN,
    SIGNING_KEY_GONE,
    STRANGE,
    TokenWorth,
    dead_refresh,
    forged,
    invalid_access,
    refresh_worth,
    revoked_by,
    valid_access,
)
from hourpass.jose import OpenedRefreshToken, VerificationKey, decode_segment, open_access_token
from hourpass.server.admin.context import Context
from hourpass.server.keys import api_keys
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.verifier.jwks import is_plausible


def inspect_token(ctx: Context, asked: shapes.TokenGiven) -> shapes.TokenFacts:
    """What a token is, and whether it is valid or why not. To a delegated caller another's token is a stranger's."""
    signing_keys = SigningKeys(ctx.store.signing_keys(), ctx.master, ctx.policy)
    try:
        access = _open_access(ctx, signing_keys, asked.token)
        if access is not None:
            return _access_facts(ctx, signing_keys, access)
        return _refresh_facts(ctx, _open_refresh(ctx, asked.token))
    except InvalidGrant as error:
        dead = dead_refresh(error.reason)
        if dead is not None and not ctx.caller.is_delegated:
            return _facts("refresh_token", dead)
        return _strange_facts(ctx, signing_keys, asked.token)


def revoke_token(ctx: Context, asked: shapes.TokenGiven) -> shapes.RevokedToken:
    """Revoke an access token, or the whole grant of a refresh token.

    Raises:
        NotFound: if it is not a token of this server, or the caller must not know of it.
        InvalidRequest: if it has expired already.
    """
    signing_keys = SigningKeys(ctx.store.signing_keys(), ctx.master, ctx.policy)
    try:
        access = _open_access(ctx, signing_keys, asked.token)
        if access is not None and access.signed_by.header in signing_keys.verification_keys(ctx.now):
            _require_changeable(ctx, access.key)
            claims = validate_claims(access.claims, ctx.now, _expected(ctx, access.claims))
            api_keys.revoke_token(ctx.store, claims, ctx.now, actor=ctx.actor)
            return shapes.RevokedToken(revoked="access", key_id=claims.client_id, grant_id=claims.sid)
        refresh = _open_refresh(ctx, asked.token)
    except InvalidToken as error:
        if error.problem == "expired":
            raise InvalidRequest("the token has expired already", name="token") from None
        raise NotFound(f"this is not a token that this server can revoke: {error.problem}") from None
    except InvalidGrant as error:
        reason = "unknown" if ctx.caller.is_delegated else error.reason
        raise NotFound(f"this is not a token that this server can revoke: {reason}") from None
    _require_changeable(ctx, refresh.key)
    grant = refresh.grant
    api_keys.revoke_grant(ctx.store, grant, ctx.now, ctx.policy, actor=ctx.actor, token=True)
    return shapes.RevokedToken(revoked="grant", key_id=grant.key_id, grant_id=grant.grant_id.hex())


def revoke_issued_before(ctx: Context, asked: shapes.RevokeIssuedBefore) -> shapes.RevokedIssuedBefore:
    """The emergency brake: refuse every access token of every key that was issued before an instant."""
    at = ctx.now if asked.issued_before is UNSET else given_moment("issued_before", asked.issued_before)
    before = api_keys.revoke_issued_before(ctx.store, at, ctx.now, ctx.policy, ctx.actor)
    return shapes.RevokedIssuedBefore(issued_before=known_moment(before * SECOND))


class _Access(NamedTuple):
    """An access token that this server signed, and that the caller may know of."""

    claims: UnverifiedClaims
    signed_by: VerificationKey
    key: ApiKey | None


class _Refresh(NamedTuple):
    """A refresh token that this server made, and that the caller may know of."""

    opened: OpenedRefreshToken
    grant: Grant
    key: ApiKey | None


def _open_access(ctx: Context, signing_keys: SigningKeys, token: str) -> _Access | None:
    try:
        # Also by the keys that are gone: they explain an old token better than "unknown" does.
        pairs = {pair.header: pair.verification_key for pair in signing_keys.pairs.values()}
        claims, signed_by = open_access_token(token.encode(), pairs)
    except InvalidToken:
        return None
    return _Access(claims, signed_by, _own(ctx, claims.client_id))


def _open_refresh(ctx: Context, token: str) -> _Refresh:
    opened = ctx.secrets.open_own(token.encode(), ctx.settings.public_url(), ctx.now // SECOND)
    grant = ctx.store.grants([opened.ref]).get(opened.ref)
    if grant is None or not is_genuine(grant, opened.generation, opened.tag):
        raise InvalidGrant("unknown")
    return _Refresh(opened, grant, _own(ctx, grant.key_id))


def _own(ctx: Context, key_id: str) -> ApiKey | None:
    """The key of a token.

    Raises:
        InvalidGrant: `malformed`, as for a token of another server, if the caller must not know of it.
    """
    key = ctx.store.key(key_id)
    if ctx.caller.is_delegated and (key is None or not sees(ctx.caller, key)):
        raise InvalidGrant("malformed")
    return key


def _require_changeable(ctx: Context, key: ApiKey | None) -> None:
    if key is not None:
        require_changeable(ctx.caller, key)


def _expected(ctx: Context, claims: UnverifiedClaims) -> Expected:
    # The signature is ours, so the issuer in the token is believed: a command may not know the server's port.
    return Expected(claims.iss, None, ctx.policy.access_token_lifetime)


def _facts(kind: shapes.TokenKind, worth: TokenWorth, **members: Any) -> shapes.TokenFacts:
    return shapes.TokenFacts(kind=kind, valid=worth.valid, reason=worth.reason, words=worth.words, **members)


def _access_facts(ctx: Context, signing_keys: SigningKeys, access: _Access) -> shapes.TokenFacts:
    claims = access.claims
    return _facts(
        "access_token",
        _access_worth(ctx, signing_keys, access),
        subject=claims.sub,
        key_id=claims.client_id,
        key_name=access.key.name if access.key else None,
        scope=claims.scope,
        environment=claims.env,
        issuer=claims.iss,
        audience=claims.aud,
        issued_at=known_moment(claims.iat * SECOND),
        expires_at=known_moment(claims.exp * SECOND),
        grant_id=claims.sid,
        claims=dict(claims.custom),
        jti=claims.jti,
        signed_with=access.signed_by.kid,
    )


def _access_worth(ctx: Context, signing_keys: SigningKeys, access: _Access) -> TokenWorth:
    try:
        claims = validate_claims(access.claims, ctx.now, _expected(ctx, access.claims))
    except InvalidToken as error:
        return invalid_access(error, access.claims, ctx.now)
    if access.signed_by.header not in signing_keys.verification_keys(ctx.now):
        return SIGNING_KEY_GONE
    entries = ctx.store.revocations_after(0, ctx.now)
    kind = next((entry.kind for entry in entries if Revocations([entry]).refuses(claims)), None)
    return valid_access(claims, ctx.now) if kind is None else revoked_by(kind, access.key, ctx.now)


def _refresh_facts(ctx: Context, refresh: _Refresh) -> shapes.TokenFacts:
    opened, grant, key = refresh
    policy = ctx.policy.with_retry_window(key.retry_window if key else None)
    admin = key is not None and key.admin is not None
    proven = opened.generation, opened.tag
    decision = judge(grant, key and from_anywhere(key), *proven, ctx.now, ctx.policy, None, admin=admin)
    return _facts(
        "refresh_token",
        refresh_worth(decision, grant, opened.generation, policy, ctx.now, key),
        subject=key.subject if key else None,
        key_id=grant.key_id,
        key_name=key.name if key else None,
        scope=grant.owned_scope(key.scope) if key else grant.scope,
        environment=key.environment if key else None,
        generation=opened.generation,
        current_generation=grant.generation,
        grant_id=grant.grant_id.hex(),
        idle_expires_at=known_moment(grant.idle_expires_at),
        expires_at=known_moment(grant.expires_at),
    )


def _strange_facts(ctx: Context, signing_keys: SigningKeys, token: str) -> shapes.TokenFacts:
    """What can be said of a token that proves nothing. Its own claims are shown as unverified."""
    issuer = _claimed_issuer(token) or UNSET
    if re.match(BEGINNING, token):
        return _facts("api_key", API_KEY)
    header = token.partition(".")[0].encode()
    if issuer is UNSET and not is_plausible(header):
        return _facts("unknown", NOT_A_TOKEN)
    if ctx.caller.is_delegated or not is_plausible(header):
        return _facts("unknown", STRANGE, unverified_issuer=issuer)
    kid = next((pair.kid for pair in signing_keys.pairs.values() if pair.header == header), None)
    return _facts("access_token", FROM_ELSEWHERE if kid is None else forged(kid), unverified_issuer=issuer)


def _claimed_issuer(token: str) -> str | None:
    try:
        issuer = msgspec.json.decode(decode_segment(token.split(".")[1].encode()), type=dict[str, object]).get("iss")
    except (ValueError, IndexError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) and issuer.isprintable() and len(issuer) <= 200 else None
