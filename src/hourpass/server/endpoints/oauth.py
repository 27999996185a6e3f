"""The OAuth 2 endpoints: token (RFC 6749), revoke (RFC 7009), introspect (RFC 7662)."""

from collections.abc import Mapping
from typing import NamedTuple, assert_never
from urllib.parse import unquote_plus

from hourpass.core.api_key import Proven, UseKind, is_well_formed
from hourpass.core.authorization import Basic, read_credential
from hourpass.core.errors import InvalidCredentials, InvalidRequest, InvalidTarget
from hourpass.core.token_request import TokenRequest
from hourpass.server.issuing import revoke_introspect
from hourpass.server.issuing.exposed import end_exposed_key, may_be_token
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.transport.render import NO_STORE
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.reading import read_form, read_token_reference, read_token_request
from hourpass.wire.shapes import FORM, Introspection, OAuthTokenAnswer, OAuthTokenRequest


class _Client(NamedTuple):
    """An OAuth 2 client: the key that it proved, or only the id that it named, or neither of them."""

    key: Proven | None
    client_id: str | None

    def proven(self) -> Proven:
        if self.key is None:
            raise InvalidCredentials("no client credentials")
        return self.key


async def token(issuer: Issuer, request: Request) -> OAuthTokenAnswer:
    """Exchange by client credentials (RFC 6749 §4.4), or refresh (§6)."""
    form = _form(request)
    asked = read_token_request(form)
    token_request = TokenRequest(scope=asked.scope, audience=_target(asked))
    address = request.address()
    kind: UseKind | None = "exchanged" if asked.grant_type == "client_credentials" else None
    client = await _client(issuer, request, form, address, kind)
    match asked.grant_type:
        case "client_credentials":
            pair = await issuer.open(client.proven(), token_request, address, request.now)
        case "refresh_token":
            if asked.refresh_token is None:
                raise InvalidRequest("refresh_token is missing")
            pair = await issuer.refresh(
                asked.refresh_token, token_request, address, request.now, client_id=client.client_id
            )
            if client.key is not None:
                await issuer.answers(client.key, request.now)
        case _:  # pragma: no cover - the type checker proves it unreachable
            assert_never(asked.grant_type)
    return OAuthTokenAnswer(
        "Bearer", pair.expires_in, pair.access_token.decode(), pair.refresh_token.decode(), pair.scope
    )


def _target(asked: OAuthTokenRequest) -> str | None:
    """The requested audience. `resource` (RFC 8707) and `audience` are two names for it."""
    if asked.audience is not None and asked.resource is not None and asked.audience != asked.resource:
        raise InvalidTarget("audience and resource differ")
    return asked.resource if asked.audience is None else asked.audience


async def revoke(issuer: Issuer, request: Request) -> Reply:
    """Revoke an access token, or with a refresh token its grant (RFC 7009). The client's key is not used by this.

    An API key as the token ends that key.
    """
    form = _form(request)
    asked = read_token_reference(form)
    address = request.address()
    if not may_be_token(asked.token):
        await end_exposed_key(issuer, asked.token, address, request.now)
        return Reply(200, NO_STORE)
    client = await _client(issuer, request, form, address)
    await revoke_introspect.revoke(issuer, asked.token, request.now, client_id=client.client_id, address=address)
    return Reply(200, NO_STORE)


async def introspect(issuer: Issuer, request: Request) -> Introspection:
    """Introspect a token (RFC 7662). The caller's key needs the scope `introspect`."""
    form = _form(request)
    caller = (await _client(issuer, request, form, request.address())).proven()
    asked = read_token_reference(form)
    known = await revoke_introspect.introspect(issuer, asked.token, caller.key, request.now)
    await issuer.answers(caller, request.now)
    return known


def _form(request: Request) -> dict[str, str]:
    media_type = (request.header(b"content-type") or b"").split(b";")[0].strip().lower()
    if media_type != FORM.encode():
        raise InvalidRequest(f"the body must be {FORM}")
    return read_form(request.body)


async def _client(
    issuer: Issuer, request: Request, form: Mapping[str, str], address: str | None, kind: UseKind | None = None
) -> _Client:
    """Read which client this is, and prove it if a secret came (RFC 6749 §2.3.1).

    The key id is the client id, and the key is the secret. The whole key in either place also works. An id that
    contradicts the key is refused.
    """
    try:
        basic = read_credential(request.headers)
    except InvalidRequest as error:
        # RFC 6749 §5.2 asks for a 401 if the client tried to authenticate by the header.
        raise InvalidCredentials("broken Authorization header") from error
    if isinstance(basic, Basic):
        if "client_secret" in form:
            raise InvalidRequest("client credentials in two places")
        client_id, secret = unquote_plus(basic.unverified_user), unquote_plus(basic.unverified_password)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not secret and not is_well_formed(client_id):
            # An id alone proves nothing, but it must not contradict the token that comes with it.
            return _Client(None, client_id or None)
    proven = await issuer.prove(secret or client_id, address, request.now, kind=kind, throttled=True)
    mentioned = {client_id, form.get("client_id", "")}
    if not mentioned <= {"", proven.key.key_id, secret or client_id}:
        raise InvalidCredentials("client_id contradicts the key")
    return _Client(proven, proven.key.key_id)
