"""An API key that came to `/oauth/revoke` as the token. Everyone who has a key may end it: having it is the proof.

The finder of a leaked key is a stranger. So the key's allow-list and the finder's own credentials do not matter, and
the answer never says whether there was a key to end.
"""

from hourpass.core.actor import Actor
from hourpass.core.api_key import why_unusable
from hourpass.core.errors import InvalidCredentials
from hourpass.core.revocation import Revocation
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.store import Store


def may_be_token(text: str) -> bool:
    """Whether this text has the form of our tokens: a JWT in three parts. Everything else may be a key."""
    return text.startswith("eyJ") and text.count(".") == 2


async def end_exposed_key(issuer: Issuer, text: str, address: str | None, now: int) -> None:
    """End the key that this text is, if it is usable. A secret that was never used yet proves the key as well.

    Raises:
        StorageUnavailable: if the key cannot be looked up or its end cannot be kept.
    """
    try:
        # A file often ends in a line feed, and the answer would not tell its finder that nothing has ended.
        known, found = await issuer.authentication.identify(text.strip(), address, now)
    except InvalidCredentials:
        return

    def end(store: Store) -> Revocation | None:
        key = store.key(known.key_id)
        secret = next((each for each in key.secrets if each.n == found.n), None) if key else None
        if key is None or secret is None or why_unusable(key, now, secret):
            return None
        return revoke_key(store, key.key_id, now, issuer.policy, Actor("client", address), why="exposed")

    if not why_unusable(known, now, found):
        issuer.verification.revoked(await issuer.ledger.run(end), now)
        await issuer.verification.observe(now)
