"""The source's two token endpoints, which turn a key or a refresh token into a pair, and the rotation of a key."""

from typing import Annotated

from hourpass.core.token_request import PLAIN_REQUEST, TokenRequest
from hourpass.server.issuing import self_rotation
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.minting import TokenPair
from hourpass.server.transport.render import JSON_HEADERS
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.reading import read_exchange, read_refresh, read_rotate
from hourpass.wire.shapes import ExchangeRequest, RefreshRequest, RotateAnswer, TokenAnswer, write_tokens

TokenReply = Annotated[Reply, TokenAnswer]
"""A reply whose body is of that shape, written without making one: each exchange and refresh would pay for it."""


async def exchange(issuer: Issuer, request: Request) -> TokenReply:
    """Exchange an API key for its first pair of tokens."""
    asked = read_exchange(request.body)
    return _reply(await issuer.exchange(asked.api_key, _token_request(asked), request.address(), request.now))


async def rotate(issuer: Issuer, request: Request) -> RotateAnswer:
    """Give an API key its next secret, as its holder asks."""
    asked = read_rotate(request.body)
    return RotateAnswer(await self_rotation.next_secret(issuer, asked.api_key, request.address(), request.now))


async def refresh(issuer: Issuer, request: Request) -> TokenReply:
    """Refresh: the next pair of tokens."""
    asked = read_refresh(request.body)
    return _reply(await issuer.refresh(asked.refresh_token, _token_request(asked), request.address(), request.now))


async def exchange_admin(issuer: Issuer, request: Request) -> TokenReply:
    """Exchange an admin key, on the admin listener."""
    asked = read_exchange(request.body)
    address = request.address()
    return _reply(await issuer.exchange(asked.api_key, _token_request(asked), address, request.now, admin=True))


async def refresh_admin(issuer: Issuer, request: Request) -> TokenReply:
    """Refresh the tokens of an admin key, on the admin listener."""
    asked = read_refresh(request.body)
    address = request.address()
    return _reply(await issuer.refresh(asked.refresh_token, _token_request(asked), address, request.now, admin=True))


def _token_request(asked: ExchangeRequest | RefreshRequest) -> TokenRequest:
    if asked.scope is None and asked.expires_in is None and asked.audience is None:
        return PLAIN_REQUEST
    return TokenRequest(asked.scope, asked.expires_in, asked.audience)


def _reply(pair: TokenPair) -> TokenReply:
    return Reply(200, JSON_HEADERS, write_tokens(pair.access_token, pair.refresh_token, pair.expires_in))
