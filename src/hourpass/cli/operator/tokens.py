"""`hourpass tokens`: explain a token in words, and revoke it."""

import re
import sys
from typing import assert_never

import click
import msgspec

from hourpass.admin.instants import moment
from hourpass.cli.no_secrets import from_standard_input, id_of_ours
from hourpass.cli.operator.database import Database, actor, database, look_at_database, settings_options
from hourpass.cli.operator.past import PastInstant, past_instant
from hourpass.cli.terminal import confirm, json_option, print_facts, print_json, say, span
from hourpass.core.api_key import from_anywhere
from hourpass.core.claims import Claims, Expected, UnverifiedClaims, validate_claims
from hourpass.core.errors import HourpassError, InvalidGrant, InvalidToken
from hourpass.core.grant import (
    Ahead,
    Burst,
    Dead,
    Decision,
    Grant,
    Replay,
    Retry,
    Rotate,
    is_genuine,
    judge,
)
from hourpass.core.key_shape import BEGINNING
from hourpass.core.policy import SECOND, Policy
from hourpass.core.revocation import Revocations
from hourpass.jose import OpenedRefreshToken, decode_segment, open_access_token, unverified_issuer
from hourpass.server.keys.api_keys import revoke_grant, revoke_issued_before, revoke_token
from hourpass.server.keys.signing_keys import SigningKeys
from hourpass.verifier.jwks import is_plausible

token_options = settings_options("data", "database_url", "issuer", "audience")

REVOKED = {
    "token": "it was revoked",
    "grant": "its grant was revoked",
    "key": "its API key was revoked",
    "issued_before": "all tokens issued before a certain time were revoked",
}
"""The kind of revocation that refuses an access token -> why, in words."""

WORDS = {
    "sub": "subject",
    "client_id": "key_id",
    "key_name": "key_name",
    "scope": "scope",
    "env": "environment",
    "iss": "issuer",
    "aud": "audience",
    "iat": "issued_at",
    "exp": "expires_at",
    "sid": "grant_id",
}
"""A claim -> its name in the output, in the order in which they are printed. Other claims keep their own names."""

DEAD = {
    "replayed": "its grant was revoked, because one of its refresh tokens was used twice: it may be stolen",
    "revoked": "its grant was revoked",
    "key_disabled": "its API key was revoked or has expired",
    "address_not_allowed": "its API key may not be used from this address",
    "expired": "it has expired",
    "unknown": "this database does not have its grant: closed, pruned, or made since a backup that was restored",
}
"""The reason for which a refresh token of ours is refused -> the same in words."""

token_argument = click.argument("token", metavar="-", callback=id_of_ours)


@click.group()
def tokens() -> None:
    """Explain and revoke tokens. They come on standard input: `hourpass tokens inspect - < FILE`."""


@tokens.command()
@token_argument
@token_options
@json_option
def inspect(flags: dict[str, object], token: str, as_json: bool) -> None:
    """Show a token's kind, subject and expiry, and whether it is valid. Exits with 1 if it is not valid."""
    token = _read(token)
    with look_at_database(flags) as db:
        facts = _access_facts(db, token) or _refresh_facts(db, token) or _strange_facts(db, token)
    print_json(facts) if as_json else print_facts(facts.items())
    sys.exit(0 if str(facts["valid"]).startswith("yes") else 1)


@tokens.command()
@click.argument("token", metavar="[-]", required=False, callback=id_of_ours)
@click.option(
    "--issued-before",
    metavar="2h|TIME|now",
    callback=past_instant,
    help="revoke every access token of every key that was issued before this time",
)
@click.option("--yes", is_flag=True, help="do not ask; needed if nobody can answer")
@token_options
@json_option
def revoke(
    flags: dict[str, object], token: str | None, issued_before: PastInstant | None, yes: bool, as_json: bool
) -> None:
    """Revoke an access token, or the whole grant of a refresh token.

    With --issued-before, the emergency brake: every access token from before that time is refused, of all keys. Grants
    go on, so clients refresh and get new tokens.
    """
    if (token is None) == (issued_before is None):
        raise click.UsageError("give either - to read a token from standard input, or --issued-before")
    if issued_before is not None:
        _revoke_issued_before(flags, issued_before, yes=yes, as_json=as_json)
        return
    token = _read(token or "-")
    with database(flags) as db:
        done = _revoke(db, token)
    if as_json:
        print_json({"revoked": done})
    else:
        say({"access": "The access token is revoked.", "grant": "The grant and its access tokens are revoked."}[done])


def _revoke_issued_before(flags: dict[str, object], issued_before: PastInstant, *, yes: bool, as_json: bool) -> None:
    if not yes:
        confirm("Every access token from before that time will be refused, so all clients refresh. Revoke them?")
    with database(flags) as db:
        before = revoke_issued_before(db.store, issued_before(db.now), db.now, db.policy, actor())
    if as_json:
        print_json({"issued_before": moment(before * SECOND)})
    else:
        say(f"Every access token from before {moment(before * SECOND)} is revoked.")


def _read(token: str) -> str:
    return from_standard_input() if token == "-" else token


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
        raise HourpassError(f"this is not a token that this server can revoke: {error.reason}") from None
    revoke_grant(db.store, db.store.grants([opened.ref])[opened.ref], db.now, db.policy, actor=actor(), token=True)
    return "grant"


def _signing_keys(db: Database) -> SigningKeys:
    return SigningKeys(db.store.signing_keys(), db.master, db.policy)


def _expected(db: Database, claims: UnverifiedClaims) -> Expected:
    # The signature is ours, so the issuer in the token is believed: this command may not know the server's port.
    return Expected(claims.iss, None, db.policy.access_token_lifetime)


def _open_refresh(db: Database, token: str) -> OpenedRefreshToken:
    # As above: the signature is checked with this server's own secret, under the issuer's URL that the token names.
    refresh_tokens = db.secrets.refresh_tokens(unverified_issuer(token.encode()) or db.settings.public_url())
    opened = refresh_tokens.open(token.encode(), db.now // SECOND)
    grant = db.store.grants([opened.ref]).get(opened.ref)
    if grant is None or not is_genuine(grant, opened.generation, opened.tag):
        raise InvalidGrant("unknown")
    return opened


def _access_facts(db: Database, token: str) -> dict[str, object] | None:
    signing_keys = _signing_keys(db)
    try:
        # Also by the keys that are gone: they explain an old token better than "unknown" does.
        claims, key = open_access_token(
            token.encode(), {pair.header: pair.verification_key for pair in signing_keys.pairs.values()}
        )
    except InvalidToken:
        return None
    try:
        valid = _revoked(db, validate_claims(claims, db.now, _expected(db, claims)))
        if key.header not in signing_keys.verification_keys(db.now):
            valid = "no: its signing key is gone"
        valid = valid or f"yes, for another {span(claims.exp * SECOND - db.now)}"
    except InvalidToken as error:
        valid = _invalid(error, claims, db.now)
    api_key = db.store.key(claims.client_id)
    told: dict[str, object] = {
        **{claim: value for claim, value in claims._asdict().items() if claim != "custom"},
        "claims": dict(claims.custom),
        "key_name": api_key.name if api_key else None,
        "iat": moment(claims.iat * SECOND),
        "exp": moment(claims.exp * SECOND),
    }
    named = {word: told.pop(claim) for claim, word in WORDS.items()}
    return {"kind": "access token", "valid": valid, **named, **told, "signed_with": key.kid}


def _revoked(db: Database, claims: Claims) -> str:
    """Why a token that is otherwise valid is refused. Empty if it is not refused."""
    entries = db.store.revocations_after(0, db.now)
    kinds = [entry.kind for entry in entries if Revocations([entry]).refuses(claims)]
    return f"no: {REVOKED[kinds[0]]}" if kinds else ""


def _invalid(error: InvalidToken, claims: UnverifiedClaims, now: int) -> str:
    match error.problem:
        case "expired":
            return f"no: it expired {span(now - claims.exp * SECOND)} ago"
        case "not_yet_valid":
            return f"no: it was issued {span(claims.iat * SECOND - now)} in the future, by this machine's clock"
        case problem:
            return f"no: {problem.replace('_', ' ')}"


def _refresh_facts(db: Database, token: str) -> dict[str, object] | None:
    try:
        opened = _open_refresh(db, token)
    except InvalidGrant as error:
        why = DEAD.get(error.reason)
        return None if why is None else {"kind": "refresh token", "valid": f"no: {why}"}
    grant = db.store.grants([opened.ref])[opened.ref]
    key = db.store.key(grant.key_id)
    policy = db.policy.with_retry_window(key.retry_window if key else None)
    decision = judge(grant, key and from_anywhere(key), opened.generation, opened.tag, db.now, db.policy, None)
    return {
        "kind": "refresh token",
        "valid": _valid(decision, grant, opened.generation, policy, db.now),
        "subject": key.subject if key else None,
        "key_id": grant.key_id,
        "key_name": key.name if key else None,
        "scope": grant.owned_scope(key.scope) if key else grant.scope,
        "environment": key.environment if key else None,
        "generation": opened.generation,
        "current_generation": grant.generation,
        "grant_id": grant.grant_id.hex(),
        "idle_expires_at": moment(grant.idle_expires_at),
        "expires_at": moment(grant.expires_at),
    }


def _valid(decision: Decision, grant: Grant, generation: int, policy: Policy, now: int) -> str:
    match decision:
        case Rotate() | Burst():
            return f"yes, until it is used, or for another {span(min(grant.idle_expires_at, grant.expires_at) - now)}"
        case Retry():
            used = now - grant.superseded[grant.generation - 1 - generation]
            return (
                f"yes, for another {span(policy.retry_window - used)}: it was used {span(used)} ago and may be retried"
            )
        case Replay():
            return "no: it was used before, and using it again would revoke its grant, because it may be stolen"
        case Ahead():
            return "no: it is newer than this database, which was probably restored from a backup"
        case Dead(reason):
            return f"no: {DEAD[reason]}"
        case _:  # pragma: no cover - the type checker proves it unreachable
            assert_never(decision)


def _strange_facts(db: Database, token: str) -> dict[str, object]:
    """What can be said of a token that proves nothing. Its own claims are shown as unverified."""
    header = token.partition(".")[0].encode()
    kid = next((pair.kid for pair in _signing_keys(db).pairs.values() if pair.header == header), None)
    if kid is not None:
        facts: dict[str, object] = {"kind": "access token", "valid": f"no: forged or damaged: {kid} did not sign it"}
    elif is_plausible(header):
        why = "no: it comes from another server, or its signing key was withdrawn"
        facts = {"kind": "access token", "valid": why}
    elif re.match(BEGINNING, token):
        facts = {"kind": "API key", "valid": "no: it is not a token, but it can be exchanged for one"}
    else:
        facts = {"kind": "unknown", "valid": "no: this server did not make it"}
    issuer = _claimed_issuer(token)
    return {**facts, "unverified_issuer": issuer} if issuer else facts


def _claimed_issuer(token: str) -> str | None:
    try:
        issuer = msgspec.json.decode(decode_segment(token.split(".")[1].encode()), type=dict[str, object]).get("iss")
    except (ValueError, IndexError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) and issuer.isprintable() and len(issuer) <= 200 else None
