"""The source's two token endpoints: a key, or a refresh token, becomes a pair."""

from hourpass import wire
from hourpass.core.wish import NO_WISH, Wish
from hourpass.server.issuer import Issuer
from hourpass.server.minting import TokenPair
from hourpass.server.render import JSON_HEADERS
from hourpass.server.request import Reply, Request


async def exchange(issuer: Issuer, request: Request) -> Reply:
    """Exchange an API key for its first pair of tokens."""
    asked = wire.read_exchange(request.body)
    wish = Wish(asked.scope, asked.expires_in, asked.audience)
    return token_answer(await issuer.exchange(asked.api_key, wish, request.address(), request.now))


async def refresh(issuer: Issuer, request: Request) -> Reply:
    """Refresh: the next pair of tokens."""
    asked = wire.read_refresh(request.body)
    plain = asked.scope is None and asked.expires_in is None and asked.audience is None
    wish = NO_WISH if plain else Wish(asked.scope, asked.expires_in, asked.audience)
    return token_answer(await issuer.refresh(asked.refresh_token, wish, request.address(), request.now))


def token_answer(pair: TokenPair, *, oauth: bool = False) -> Reply:
    """A pair as it travels; the OAuth 2 endpoint also says the scope (RFC 6749 §5.1)."""
    scope = pair.scope if oauth else None
    body = wire.write_token_answer(pair.access_token, pair.refresh_token, pair.expires_in, scope)
    return Reply(200, JSON_HEADERS, body)
