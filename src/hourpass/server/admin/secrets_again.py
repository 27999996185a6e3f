"""Derives the secret of an answer again, for a call that is repeated by its Idempotency-Key.

The context's random bytes are those that the call had. `public` is the part of the text that is not secret: all up
to the last underscore, this one included. Each function returns None if the text cannot be derived any more. The secret
of a key is refused to a caller who may not give one to that key now, because the key may have changed meanwhile.
"""

from collections.abc import Callable
from typing import Any

from hourpass.admin import shapes
from hourpass.core.admin_access import require_giveable
from hourpass.core.api_key import ENTROPY_BYTES, new_api_key
from hourpass.core.key_rotation import SEED_BYTES
from hourpass.core.webhook import SEED_BYTES as WEBHOOK_SEED_BYTES
from hourpass.core.webhook import secret_text, webhook_secret
from hourpass.server.admin.context import Context
from hourpass.server.webhooks import webhooks

SECRET_MEMBERS = ("api_key", "secret")
"""The members of answers that hold a new secret."""


def create_key(ctx: Context, asked: shapes.CreateKey, public: str) -> str | None:
    """A new key's text. Its prefix is that of the day when it was made."""
    prefix = public.rsplit("_", 3)[0]
    key_id, text = new_api_key(asked.environment, ctx.random(ENTROPY_BYTES), prefix)
    require_giveable(ctx.caller, ctx.key(key_id, change=True))
    return text


def rotate_key(ctx: Context, asked: shapes.RotateKey, public: str) -> str | None:
    """The text of a key's next secret, as long as the key has it and the server knows what made it."""
    seed, prefix = ctx.random(SEED_BYTES), public.rsplit("_", 3)[0]
    key = ctx.key(asked.key_id, change=True)
    require_giveable(ctx.caller, key)
    made = [secret for secret in key.secrets if secret.seed == seed]
    return ctx.secrets.text_again(key, made[-1], prefix) if made else None


def create_webhook(ctx: Context, asked: shapes.CreateWebhook, public: str) -> str | None:
    """The first secret of a new webhook."""
    return _webhook_secret(ctx, webhooks.new_webhook_id(ctx.random))


def rotate_webhook_secret(ctx: Context, asked: shapes.WebhookNamed, public: str) -> str | None:
    """The next secret of a webhook."""
    return _webhook_secret(ctx, asked.webhook_id)


def _webhook_secret(ctx: Context, webhook_id: str) -> str | None:
    own = webhooks.server_secret(ctx.store, ctx.master)
    return secret_text(webhook_secret(own, webhook_id, ctx.random(WEBHOOK_SEED_BYTES)))


MADE_AGAIN: dict[str, Callable[[Context, Any, str], str | None]] = {
    function.__name__: function for function in (create_key, rotate_key, create_webhook, rotate_webhook_secret)
}
"""The name of an operation whose answer holds a new secret -> what derives it again."""
