"""What other programs see of a credential: the access token and its two instants, never the refresh token.

Owns that view, and the two requests of programs: for a token, and to report that one was rejected.
"""

import json
from typing import NamedTuple

from hourpass.client.credential import Credential, fingerprint
from hourpass.client.source import TokenSource
from hourpass.core.errors import Unavailable

WITHIN = 5.0
"""Seconds that a program waits for a token."""


class Handout(NamedTuple):
    """An access token. Instants are epoch milliseconds."""

    access_token: str
    issued_at: int
    expires_at: int
    token_type: str = "Bearer"

    def __repr__(self) -> str:
        """Without the token."""
        return f"Handout(issued_at={self.issued_at}, expires_at={self.expires_at})"

    def to_json(self) -> bytes:
        """The JSON of the file form and of the agent's socket."""
        return json.dumps(self._asdict()).encode()


def handout_of(source: TokenSource, credential: Credential) -> Handout:
    """The part of a source's credential that other programs may see."""
    expires_at = source.expires_at(credential)
    return Handout(credential.access_token, expires_at - credential.lifetime, expires_at)


def hand_out(source: TokenSource, min_valid: float = 0) -> Handout:
    """The token, with `min_valid` seconds left if possible.

    Raises:
        HourpassError: as `TokenSource.credential`.
    """
    return handout_of(source, source.credential(min_valid=min_valid, within=WITHIN))


def reject(source: TokenSource, rejected: str) -> Handout:
    """An API answered 401 to the token with this fingerprint: refresh if it is still the current one.

    Raises:
        Unavailable: the breaker is open, because the server's fresh tokens are rejected.
        HourpassError: as `TokenSource.refresh`.
    """
    current, now = source.current, source.now()
    if current is None or fingerprint(current.access_token) != rejected:
        return hand_out(source)
    source.breaker.reject(current.number, now - current.issued_at, now)
    if not source.breaker.allows(now):
        raise Unavailable("fresh tokens are rejected, so no new one is fetched for now", retry_after=30)
    return handout_of(source, source.refresh(rejected=current.number, retry=False, within=WITHIN))
