"""A key's holder asks for its next secret: `POST /auth/rotate`. The same question has the same answer."""

import os
from typing import Any

from hourpass.server.issuing.issuer import Issuer
from hourpass.server.keys.rotation import rotate_by_holder


async def next_secret(issuer: Issuer, api_key: str, address: str | None, now: int) -> str:
    """The next secret of the key that proves itself.

    Raises:
        InvalidCredentials: if the key is not accepted.
        Throttled: if the key is used too often, or too many wrong keys came from this address.
        SelfRotationOff: if the key may not rotate itself. RotationUnderWay: if two secrets are alive.
        StorageUnavailable: if nothing was kept.
    """
    key, secret = await issuer.prove(api_key, address, now, throttled=True)
    issuer.admit(key)
    overlap, prefix = issuer.rotation_overlap, issuer.key_prefix
    options: dict[str, Any] = {"overlap": overlap, "random": os.urandom, "prefix": prefix, "address": address}
    return await issuer.ledger.run(
        lambda store: rotate_by_holder(store, issuer.secrets, key.key_id, secret, now, **options)
    )
