"""The source's two token endpoints, which turn a key or a refresh token into a pair, and the rotation of a key."""

from hourpass import wire
from hourpass.core.token_request import PLAIN_REQUEST, TokenRequest
from hourpass.server.issuing import self_rotation
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.minting import TokenPair
from hourpass.server.transport.request import Request


async def exchange(issuer: Issuer, request: Request) -> wire.TokenAnswer:
    """Exchange an API key for its first pair of tokens."""
    asked = wire.read_exchange(request.body)
    token_request = TokenRequest(asked.scope, asked.expires_in, asked.audience)
    return _answer(await issuer.exchange(asked.api_key, token_request, request.address(), request.now))


async def rotate(issuer: Issuer, request: Request) -> wire.RotateAnswer:
    """Give an API key its next secret, as its holder asks."""
    asked = wire.read_rotate(request.body)
    return wire.RotateAnswer(await self_rotation.next_secret(issuer, asked.api_key, request.address(), request.now))


async def refresh(issuer: Issuer, request: Request) -> wire.TokenAnswer:
    """Refresh: the next pair of tokens."""
    asked = wire.read_refresh(request.body)
    plain = asked.scope is None and asked.expires_in is None and asked.audience is None
    token_request = PLAIN_REQUEST if plain else TokenRequest(asked.scope, asked.expires_in, asked.audience)
    return _answer(await issuer.refresh(asked.refresh_token, token_request, request.address(), request.now))


def _answer(pair: TokenPair) -> wire.TokenAnswer:
    return wire.TokenAnswer("Bearer", pair.expires_in, pair.access_token.decode(), pair.refresh_token.decode())
