"""Forms that were sent already. A browser that loads the answer to a form again sends the form again.

Each form that makes a secret has a random id. It is used before anything is done, so a crash leaves it used.
"""

import secrets
from hashlib import sha256

from hourpass.core.sign_in import ABSOLUTE
from hourpass.server.store import Store
from hourpass.server.store.idempotent_calls import IdempotentCall

_SEED_BYTES = 16


class FormUsed(Exception):
    """The form was sent before."""


def new_form_id() -> str:
    """The id of a form that is shown."""
    return secrets.token_urlsafe(16)


def use_form(store: Store, sign_in: bytes, form_id: str, now: int) -> IdempotentCall:
    """Use the id of a form, for as long as its sign-in can last. Call it inside a transaction.

    Raises:
        FormUsed: if it is used already.
    """
    digest = sha256(b"form of the console" + sign_in + form_id.encode()).digest()
    found = store.idempotent_call(digest)
    if found is not None and found.until > now:
        raise FormUsed
    use = IdempotentCall(digest, b"", secrets.token_bytes(_SEED_BYTES), now + ABSOLUTE)
    store.reserve_call(use)
    return use


def forget_use(store: Store, use: IdempotentCall) -> None:
    """Let the form be sent again, because nothing was done. Call it inside a transaction."""
    store.release_call(use)
