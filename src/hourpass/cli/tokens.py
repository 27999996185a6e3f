"""`hourpass tokens`."""

import sys

import click

from hourpass.cli.operator import Database, actor, database, json_option, settings_options
from hourpass.cli.terminal import moment, print_facts, print_json, say, span
from hourpass.core.api_key import is_usable
from hourpass.core.claims import Expected, UnverifiedClaims, validate_claims
from hourpass.core.errors import HourpassError, InvalidGrant, InvalidToken
from hourpass.core.grant import Burst, Dead, Retry, Rotate, decide_refresh, generation_tag
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocations
from hourpass.jose import OpenedRefreshToken, open_access_token, unverified_issuer
from hourpass.server.keys import SigningKeys, revoke_grant, revoke_token

token_options = settings_options("data", "database_url", "issuer", "audience")

token_argument = click.argument("token", metavar="TOKEN|-")


@click.group()
def tokens() -> None:
    """Explain and revoke tokens. `-` reads the token from standard input, out of sight of the process list."""


@tokens.command()
@token_argument
@token_options
@json_option
def inspect(flags: dict[str, object], token: str, as_json: bool) -> None:
    """Say what a token is, whom it speaks for, until when, and whether it counts."""
    token = _read(token)
    with database(flags) as db:
        facts = _access_facts(db, token) or _refresh_facts(db, token)
    if facts is None:
        facts = {"kind": "unknown", "counts": "no: this server did not make it"}
    print_json(facts) if as_json else print_facts(facts.items())
    sys.exit(0 if str(facts["counts"]).startswith("yes") else 1)


@tokens.command()
@token_argument
@token_options
@json_option
def revoke(flags: dict[str, object], token: str, as_json: bool) -> None:
    """Revoke an access token alone, or with a refresh token its whole grant."""
    token = _read(token)
    with database(flags) as db:
        done = _revoke(db, token)
    if as_json:
        print_json({"revoked": done})
    else:
        say({"access": "The access token is revoked.", "grant": "The grant and its access tokens are revoked."}[done])


def _read(token: str) -> str:
    return sys.stdin.read().strip() if token == "-" else token


def _revoke(db: Database, token: str) -> str:
    try:
        claims, _ = open_access_token(token.encode(), _signing_keys(db).verification_keys(db.now))
        revoke_token(db.store, validate_claims(claims, db.now, _expected(db, claims)), db.now, actor=actor())
    except InvalidToken as error:
        if error.problem == "expired":
            raise HourpassError("the token has expired already") from None
    else:
        return "access"
    try:
        opened = _open_refresh(db, token)
    except InvalidGrant as error:
        raise HourpassError(f"this is no token of this server that could be revoked: {error.reason}") from None
    revoke_grant(db.store, db.store.grants([opened.ref])[opened.ref], db.now, db.policy, actor=actor(), token=True)
    return "grant"


def _signing_keys(db: Database) -> SigningKeys:
    return SigningKeys(db.store.signing_keys(), db.master, db.policy)


def _expected(db: Database, claims: UnverifiedClaims) -> Expected:
    # The issuer is believed from a signature of ours: the command may not know the server's port.
    return Expected(claims.iss, None, db.policy.access_token_lifetime)


def _open_refresh(db: Database, token: str) -> OpenedRefreshToken:
    # As above: the signature is checked with this server's own secret, whatever URL it was made under.
    refresh_tokens = db.secrets.refresh_tokens(unverified_issuer(token.encode()) or db.settings.public_url())
    opened = refresh_tokens.open(token.encode(), db.now // SECOND)
    grant = db.store.grants([opened.ref]).get(opened.ref)
    if grant is None or generation_tag(grant.seed, opened.generation) != opened.tag:
        raise InvalidGrant("unknown")
    return opened


def _access_facts(db: Database, token: str) -> dict[str, object] | None:
    keys = _signing_keys(db).verification_keys(db.now)
    try:
        claims, key = open_access_token(token.encode(), keys)
    except InvalidToken:
        return None
    try:
        verified = validate_claims(claims, db.now, _expected(db, claims))
        revoked = Revocations(db.store.revocations_after(0, db.now)).refuses(verified)
        counts = "no: revoked" if revoked else f"yes, for another {span(claims.exp * SECOND - db.now)}"
    except InvalidToken as error:
        ago = f" {span(db.now - claims.exp * SECOND)} ago" if error.problem == "expired" else ""
        counts = f"no: {error.problem.replace('_', ' ')}{ago}"
    return {
        "kind": "access token",
        "counts": counts,
        "subject": claims.sub,
        "key_id": claims.client_id,
        "scope": claims.scope,
        "environment": claims.env,
        "issuer": claims.iss,
        "audience": claims.aud,
        "issued_at": moment(claims.iat * SECOND),
        "expires_at": moment(claims.exp * SECOND),
        "grant_id": claims.sid,
        "jti": claims.jti,
        "signed_with": key.kid,
    }


def _refresh_facts(db: Database, token: str) -> dict[str, object] | None:
    try:
        opened = _open_refresh(db, token)
    except InvalidGrant as error:
        return None if error.reason == "malformed" else {"kind": "refresh token", "counts": f"no: {error.reason}"}
    grant = db.store.grants([opened.ref])[opened.ref]
    key = db.store.key(grant.key_id)
    policy = db.policy.with_retry_window(key.retry_window if key else None)
    decision = decide_refresh(
        grant, opened.generation, db.now, policy, key_usable=key is not None and is_usable(key, db.now)
    )
    match decision:
        case Rotate() | Burst():
            counts = f"yes, until it is used, or for another {span(grant.idle_expires_at - db.now)}"
        case Retry():
            counts = "yes, as a retry: it was superseded within the retry window"
        case Dead(reason):
            counts = f"no: {reason.replace('_', ' ')}"
        case _:
            counts = f"no: using it would be a {type(decision).__name__.lower()}"
    return {
        "kind": "refresh token",
        "counts": counts,
        "key_id": grant.key_id,
        "generation": opened.generation,
        "current_generation": grant.generation,
        "grant_id": grant.grant_id.hex(),
        "idle_expires_at": moment(grant.idle_expires_at),
        "expires_at": moment(grant.expires_at),
    }
