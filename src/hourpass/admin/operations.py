"""Everything that can be asked of the administration: one table for the command, the admin API and the console.

`OPERATIONS` says for each operation how it looks in HTTP, which scope it needs, what it asks and what it answers.
"""

from typing import Any, Generic, NamedTuple, TypeVar

from hourpass.admin import shapes

Q = TypeVar("Q", bound=shapes.Asked)
A = TypeVar("A", bound=shapes.AdminAnswer)

ROOT = "/admin/v1"
"""Below it are the paths of all operations."""


class Operation(NamedTuple, Generic[Q, A]):
    """One thing that can be asked. `path` has members of `asks` in braces.

    The other members are the query of a GET or DELETE, and the JSON body of other methods. `scope` is what the caller
    needs, empty if every admin token is enough. `reads` is true if nothing changes. `delegated` says whether a
    delegated admin key may ask, and then the use case shows it only what is its own. `streams` is true if the body is
    JSON lines, which are read while they come. What is asked is then the query. `long` is true if the work may take
    seconds, so that nothing else waits for it. `waits` is true if it may need what is waited for outside of a
    transaction: another host's answer, or the check of a slow hash. `ends` is true if it can end or narrow what
    somebody may do or gets. The console carries out no such operation before its person has said that it is meant.
    """

    name: str
    method: str
    path: str
    scope: str
    asks: type[Q]
    answers: type[A]
    reads: bool = False
    delegated: bool = False
    status: int = 200
    streams: bool = False
    long: bool = False
    waits: bool = False
    ends: bool = False

    @property
    def in_path(self) -> tuple[str, ...]:
        """The members that stand in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


def _reading(
    name: str, path: str, scope: str, asks: type[Q], answers: type[A], *, delegated: bool = False
) -> Operation[Q, A]:
    return Operation(name, "GET", path, scope, asks, answers, reads=True, delegated=delegated)


LIST_KEYS = _reading("list_keys", "/keys", "keys:read", shapes.ListKeys, shapes.KeyPage, delegated=True)
GET_KEY = _reading("get_key", "/keys/{key_id}", "keys:read", shapes.KeyNamed, shapes.Key, delegated=True)
FIND_KEY = Operation(
    "find_key", "POST", "/keys/find", "keys:read", shapes.FindKey, shapes.Key, reads=True, delegated=True, waits=True
)
CREATE_KEY = Operation(
    "create_key", "POST", "/keys", "keys:write", shapes.CreateKey, shapes.CreatedKey, delegated=True, status=201
)
UPDATE_KEY = Operation(
    "update_key", "PATCH", "/keys/{key_id}", "keys:write", shapes.UpdateKey, shapes.Key, delegated=True, ends=True
)
ROTATE_KEY = Operation(
    "rotate_key",
    "POST",
    "/keys/{key_id}/rotate",
    "keys:write",
    shapes.RotateKey,
    shapes.RotatedKey,
    delegated=True,
    ends=True,
)
DISABLE_KEY = Operation(
    "disable_key",
    "POST",
    "/keys/{key_id}/disable",
    "keys:write",
    shapes.DisableKey,
    shapes.Changed,
    delegated=True,
    ends=True,
)
ENABLE_KEY = Operation(
    "enable_key", "POST", "/keys/{key_id}/enable", "keys:write", shapes.KeyNamed, shapes.Changed, delegated=True
)
REVOKE_KEY = Operation(
    "revoke_key",
    "POST",
    "/keys/{key_id}/revoke",
    "keys:write",
    shapes.RevokeKey,
    shapes.Changed,
    delegated=True,
    ends=True,
)
IMPORT_KEYS = Operation(
    "import_keys", "POST", "/keys/import", "keys:write", shapes.ImportKeys, shapes.ImportedKeys, streams=True
)
FIND_LEAKED_KEYS = Operation(
    "find_leaked_keys",
    "POST",
    "/keys/leaked",
    "keys:read",
    shapes.LeakedTexts,
    shapes.LeakedKeys,
    reads=True,
    delegated=True,
)
REVOKE_LEAKED_KEYS = Operation(
    "revoke_leaked_keys",
    "POST",
    "/keys/leaked/revoke",
    "keys:write",
    shapes.LeakedTexts,
    shapes.LeakedKeys,
    delegated=True,
    ends=True,
)
LIST_GRANTS = _reading("list_grants", "/grants", "grants:read", shapes.ListGrants, shapes.GrantPage, delegated=True)
LIST_GRANTS_OF_KEY = _reading(
    "list_grants_of_key",
    "/keys/{key_id}/grants",
    "grants:read",
    shapes.ListGrantsOfKey,
    shapes.GrantPage,
    delegated=True,
)
GET_GRANT = _reading(
    "get_grant", "/grants/{grant_id}", "grants:read", shapes.GrantNamed, shapes.GrantFacts, delegated=True
)
REVOKE_GRANT = Operation(
    "revoke_grant",
    "POST",
    "/grants/{grant_id}/revoke",
    "grants:write",
    shapes.GrantNamed,
    shapes.RevokedGrant,
    delegated=True,
    ends=True,
)
GRANT_TIMELINE = _reading(
    "grant_timeline",
    "/grants/{grant_id}/timeline",
    "grants:read",
    shapes.GrantNamed,
    shapes.GrantTimeline,
    delegated=True,
)
OVERVIEW = _reading("overview", "/overview", "overview:read", shapes.GetOverview, shapes.Overview)
INSPECT_TOKEN = Operation(
    "inspect_token",
    "POST",
    "/tokens/inspect",
    "grants:read",
    shapes.TokenGiven,
    shapes.TokenFacts,
    reads=True,
    delegated=True,
)
REVOKE_TOKEN = Operation(
    "revoke_token",
    "POST",
    "/tokens/revoke",
    "tokens:write",
    shapes.TokenGiven,
    shapes.RevokedToken,
    delegated=True,
    ends=True,
)
REVOKE_ISSUED_BEFORE = Operation(
    "revoke_issued_before",
    "POST",
    "/tokens/revoke-issued-before",
    "tokens:revoke-all",
    shapes.RevokeIssuedBefore,
    shapes.RevokedIssuedBefore,
    ends=True,
)
LIST_SIGNING_KEYS = _reading(
    "list_signing_keys", "/signing-keys", "signing-keys:read", shapes.Nothing, shapes.SigningKeyPage
)
ROTATE_SIGNING_KEYS = Operation(
    "rotate_signing_keys",
    "POST",
    "/signing-keys/rotate",
    "signing-keys:write",
    shapes.Nothing,
    shapes.RotatedSigningKey,
    status=201,
)
WITHDRAW_SIGNING_KEY = Operation(
    "withdraw_signing_key",
    "POST",
    "/signing-keys/{kid}/withdraw",
    "signing-keys:write",
    shapes.SigningKeyNamed,
    shapes.WithdrawnSigningKey,
    ends=True,
)
LIST_AUDIT = _reading("list_audit", "/audit", "audit:read", shapes.ListAudit, shapes.AuditPage, delegated=True)
VERIFY_AUDIT = _reading("verify_audit", "/audit/verify", "audit:read", shapes.Nothing, shapes.VerifiedAudit)._replace(
    long=True
)
ME = _reading("me", "/me", "", shapes.Nothing, shapes.Me, delegated=True)

LIST_SIGN_INS = _reading("list_sign_ins", "/sign-ins", "audit:read", shapes.Nothing, shapes.SignInList, delegated=True)
END_SIGN_IN = Operation(
    "end_sign_in",
    "DELETE",
    "/sign-ins/{sign_in_id}",
    "admin:write",
    shapes.SignInNamed,
    shapes.EndedSignIn,
    ends=True,
)

DESCRIBE = _reading("describe", "/openapi.json", "", shapes.Nothing, shapes.Description, delegated=True)

LIST_EVENTS = _reading("list_events", "/events", "audit:read", shapes.ListEvents, shapes.EventList, delegated=True)
LIST_WEBHOOKS = _reading("list_webhooks", "/webhooks", "webhooks:read", shapes.Nothing, shapes.WebhookList)
GET_WEBHOOK = _reading(
    "get_webhook", "/webhooks/{webhook_id}", "webhooks:read", shapes.WebhookNamed, shapes.ShownWebhook
)
CREATE_WEBHOOK = Operation(
    "create_webhook",
    "POST",
    "/webhooks",
    "webhooks:write",
    shapes.CreateWebhook,
    shapes.CreatedWebhook,
    status=201,
    waits=True,
)
UPDATE_WEBHOOK = Operation(
    "update_webhook",
    "PATCH",
    "/webhooks/{webhook_id}",
    "webhooks:write",
    shapes.UpdateWebhook,
    shapes.ShownWebhook,
    waits=True,
    ends=True,
)
DELETE_WEBHOOK = Operation(
    "delete_webhook",
    "DELETE",
    "/webhooks/{webhook_id}",
    "webhooks:write",
    shapes.WebhookNamed,
    shapes.DeletedWebhook,
    ends=True,
)
ROTATE_WEBHOOK_SECRET = Operation(
    "rotate_webhook_secret",
    "POST",
    "/webhooks/{webhook_id}/rotate-secret",
    "webhooks:write",
    shapes.WebhookNamed,
    shapes.CreatedWebhook,
)
TRY_WEBHOOK = Operation(
    "try_webhook",
    "POST",
    "/webhooks/{webhook_id}/test",
    "webhooks:write",
    shapes.WebhookNamed,
    shapes.TriedWebhook,
    waits=True,
)
LIST_DELIVERIES = _reading(
    "list_deliveries", "/webhooks/{webhook_id}/deliveries", "webhooks:read", shapes.ListDeliveries, shapes.DeliveryList
)

OPERATIONS: tuple[Operation[Any, Any], ...] = tuple(
    each for each in list(vars().values()) if isinstance(each, Operation)
)
"""All of them, in the order of this file."""
