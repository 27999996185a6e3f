"""Which function carries out which operation."""

from collections.abc import Callable
from typing import Any

from hourpass.server.admin import (
    audit,
    grants,
    key_import,
    keys,
    leaked_keys,
    overview,
    sign_ins,
    signing_keys,
    tokens,
    webhooks,
)
from hourpass.server.admin.context import Context

WORK: dict[str, Callable[[Context, Any], Any]] = {
    function.__name__: function
    for function in (
        keys.list_keys,
        keys.create_key,
        keys.find_key,
        keys.get_key,
        keys.update_key,
        keys.rotate_key,
        keys.disable_key,
        keys.enable_key,
        keys.revoke_key,
        key_import.import_keys,
        leaked_keys.find_leaked_keys,
        leaked_keys.revoke_leaked_keys,
        grants.list_grants,
        grants.list_grants_of_key,
        grants.get_grant,
        grants.revoke_grant,
        grants.grant_timeline,
        overview.overview,
        tokens.inspect_token,
        tokens.revoke_token,
        tokens.revoke_issued_before,
        signing_keys.list_signing_keys,
        signing_keys.rotate_signing_keys,
        signing_keys.withdraw_signing_key,
        audit.list_audit,
        audit.verify_audit,
        keys.me,
        sign_ins.list_sign_ins,
        sign_ins.end_sign_in,
        webhooks.list_events,
        webhooks.list_webhooks,
        webhooks.get_webhook,
        webhooks.create_webhook,
        webhooks.update_webhook,
        webhooks.delete_webhook,
        webhooks.rotate_webhook_secret,
        webhooks.try_webhook,
        webhooks.list_deliveries,
    )
}
"""The name of an operation -> what does it."""
