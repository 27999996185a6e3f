"""Mints tokens: a grant, its key and a token request become a pair of tokens."""

import os

import msgspec

from hourpass.core.admin_access import admin_audience
from hourpass.core.api_key import ApiKey, issued_at
from hourpass.core.grant import Grant
from hourpass.core.policy import SECOND, Policy
from hourpass.core.token_request import TokenRequest
from hourpass.jose import AccessClaims, RefreshTokens, SigningKeyPair, encode_segment

JTI_LENGTH = 20
"""Characters of base64url: 120 random bits."""


class TokenPair(msgspec.Struct, frozen=True):
    """The result of an exchange or a refresh. `expires_in` is in seconds. The repr shows no token."""

    access_token: bytes
    refresh_token: bytes
    expires_in: int
    scope: str

    def __repr__(self) -> str:
        """Without the tokens."""
        return "TokenPair(…)"


class Entropy:
    """Random bytes from the kernel, a page at a time: the system call costs far more than the bytes. For one thread."""

    def __init__(self) -> None:
        self._page = b""
        self._used = 0

    def draw(self, count: int) -> bytes:
        """So many random bytes, which were never handed out before."""
        if self._used + count > len(self._page):
            self._page, self._used = os.urandom(4_096), 0
        start = self._used
        self._used += count
        return self._page[start : self._used]


class TokenIds:
    """Random ids for tokens, encoded a page at a time. Any thread may draw: each batch makes its answers in its own."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def draw(self) -> str:
        """A random id, which was never handed out before."""
        try:
            return self._ids.pop()
        except IndexError:
            page = encode_segment(os.urandom(3_000)).decode()
            fresh = [page[at : at + JTI_LENGTH] for at in range(0, len(page), JTI_LENGTH)]
            mine = fresh.pop()
            self._ids += fresh
            return mine


class Mint:
    """Makes pairs for one issuer. `audience` is used for keys that name none.

    The tokens of an admin key have an audience of their own, and refresh tokens that only the admin listener takes.
    """

    def __init__(
        self,
        url: str,
        audience: str,
        policy: Policy,
        refresh_tokens: RefreshTokens,
        admin_refresh_tokens: RefreshTokens,
    ) -> None:
        self._url = url
        self._audience = audience
        self._policy = policy
        self._refresh_tokens = refresh_tokens
        self._admin_audience = admin_audience(url)
        self._admin_refresh_tokens = admin_refresh_tokens
        self._token_ids = TokenIds()

    def default_audience(self, key: ApiKey) -> str:
        """Whom the tokens of a key are for that names no audience."""
        return self._audience if key.admin is None else self._admin_audience

    def pair(
        self, grant: Grant, key: ApiKey, request: TokenRequest, signing_pair: SigningKeyPair, now: int
    ) -> TokenPair:
        """The pair of a grant's current generation. `now` is epoch milliseconds.

        Raises:
            InvalidScope, InvalidTarget: if the request goes beyond the grant, or the grant beyond its key.
        """
        second = now // SECOND if key.valid_from is None and key.tokens_from is None else issued_at(key, now)
        scope = request.narrowed(grant.owned_scope(key.scope))
        lifetime = request.lifetime(key, self._policy, now)
        audience = key.audience or self.default_audience(key)
        if request.audience is not None or grant.audience is not None:
            audience = request.audience_of(key.audiences(audience), grant.audience)
        access_token = signing_pair.mint(
            AccessClaims(
                iss=self._url,
                sub=key.subject,
                aud=audience,
                exp=second + lifetime,
                iat=second,
                jti=self._token_ids.draw(),
                client_id=key.key_id,
                scope=scope,
                sid=grant.grant_id.hex(),
                env=key.environment,
            ),
            key.claims,
        )
        refresh_tokens = self._refresh_tokens if key.admin is None else self._admin_refresh_tokens
        # Not `now`: a retry must get the same text for the same generation, at any time.
        refresh_token = refresh_tokens.mint(grant, grant.generation_at // SECOND)
        return TokenPair(access_token, refresh_token, lifetime, scope)
