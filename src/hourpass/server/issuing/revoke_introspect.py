"""What a client may do with a token besides refreshing it: revoke it (RFC 7009), or ask about it (RFC 7662)."""

from hourpass.core.api_key import ApiKey, from_anywhere
from hourpass.core.errors import InsufficientScope, InvalidGrant, InvalidToken
from hourpass.core.grant import Burst, Retry, Rotate, judge
from hourpass.core.policy import SECOND
from hourpass.core.requirement import Requirement, judge_key, judge_token, nowhere
from hourpass.server.issuing.issuer import Issuer
from hourpass.wire.shapes import Introspection

INTROSPECT_SCOPE = "introspect"
"""The scope that a key needs to introspect tokens."""

INACTIVE = Introspection(active=False)


async def revoke(
    issuer: Issuer, token: str, now: int, *, client_id: str | None = None, address: str | None = None
) -> None:
    """Revoke a token: an access token alone, or with a refresh token its whole grant (RFC 7009).

    A token that is not ours, or that is dead already, is not an error (§2.2).

    Raises:
        InvalidGrant: if the token belongs to another client.
        Throttled: if its key revokes too often.
        StorageUnavailable: if nothing was kept.
    """
    try:
        claims = issuer.verification.verify(token.encode(), now)
    except InvalidToken:
        await _revoke_refresh_token(issuer, token, address, now, client_id)
        return
    _require_owner(claims.client_id, client_id)
    await issuer.client_revocations.end_token(claims, address, now)


async def _revoke_refresh_token(
    issuer: Issuer, token: str, address: str | None, now: int, client_id: str | None
) -> None:
    try:
        _, grant = await issuer.look_up(token, now)
    except InvalidGrant:
        return
    _require_owner(grant.key_id, client_id)
    await issuer.client_revocations.end_grant(grant, address, now)


def _require_owner(owner: str, client_id: str | None) -> None:
    if client_id is not None and client_id != owner:
        raise InvalidGrant("unknown", "the token belongs to another client")


async def introspect(issuer: Issuer, token: str, caller: ApiKey, now: int) -> Introspection:
    """What is known about a token (RFC 7662 §2.2). If the token is not valid, the answer has only `active`: false.

    A token of another environment or for another audience than the caller's key is not valid for the caller
    (§4: the response may depend on who asks).

    Raises:
        InsufficientScope: if the caller's key does not have the scope `introspect`.
        Unavailable: if revocations were not looked up for too long.
    """
    if INTROSPECT_SCOPE not in caller.scope.split():
        raise InsufficientScope(INTROSPECT_SCOPE)
    issuer.verification.require_fresh()
    try:
        claims = issuer.verification.verify(token.encode(), now)
        theirs = (claims.aud,) if isinstance(claims.aud, str) else tuple(claims.aud)
        judge_token(claims, _needed(caller, caller.audiences(issuer.audience), theirs), None, nowhere)
    except InvalidToken:
        return await _introspect_refresh_token(issuer, token, caller, now)
    return Introspection(active=True, token_type="Bearer", **claims._asdict())


def _needed(caller: ApiKey, own: tuple[str, ...], theirs: tuple[str, ...]) -> Requirement:
    """What makes a token valid for the caller: its environment, and an audience of both."""
    return Requirement(next((each for each in own if each in theirs), own[0]), caller.environment)


async def _introspect_refresh_token(issuer: Issuer, token: str, caller: ApiKey, now: int) -> Introspection:
    try:
        opened, grant = await issuer.look_up(token, now)
        key = await issuer.ledger.key(grant.key_id)
        if key is None or key.admin is not None:
            return INACTIVE  # an admin key's tokens are for the admin listener alone
        theirs = (grant.audience,) if grant.audience else key.audiences(issuer.audience)
        needed = _needed(caller, caller.audiences(issuer.audience), theirs)
        judge_key(from_anywhere(key)._replace(audience=theirs[0], more_audiences=theirs[1:]), "", needed, nowhere)
    except (InvalidGrant, InvalidToken):
        return INACTIVE
    # The caller asks about the token and does not use it, so the caller's address says nothing.
    decision = judge(grant, from_anywhere(key), opened.generation, opened.tag, now, issuer.ledger.policy_at(now), None)
    if not isinstance(decision, Rotate | Burst | Retry):
        return INACTIVE
    return Introspection(
        active=True,
        iss=issuer.url,
        sub=key.subject,
        client_id=key.key_id,
        scope=grant.owned_scope(key.scope),
        sid=grant.grant_id.hex(),
        env=key.environment,
        iat=grant.created_at // SECOND,
        exp=grant.idle_expires_at // SECOND,
        custom=key.claims,
    )
