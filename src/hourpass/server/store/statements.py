"""Loads the named queries in `sql/`. A table's columns have the names and the order of its value's fields.

The SQL takes its columns from here. If you insert a field in the middle, every statement gets it in the same place.
"""

import re
from importlib import resources

from hourpass.core.api_key import KeySecret
from hourpass.core.audit_chain import Ends
from hourpass.core.grant import Grant, GrantRef
from hourpass.core.grant_room import GrantAge
from hourpass.core.revocation import Revocation
from hourpass.core.sign_in import OneTimeLink, SignIn
from hourpass.core.signing_key import SigningKey
from hourpass.core.stats import Stats
from hourpass.core.webhook import Webhook
from hourpass.server.store.api_keys import EDITABLE, RECORD
from hourpass.server.store.audit_trail import AuditRecord, AuditRow
from hourpass.server.store.control import Control
from hourpass.server.store.copying import Moved, Numbers
from hourpass.server.store.idempotent_calls import IdempotentCall
from hourpass.server.store.key_secrets import SlowHash
from hourpass.server.store.key_uses import KeyUse
from hourpass.server.store.sealed import StoredSecret
from hourpass.server.store.stats import Measured
from hourpass.server.store.webhooks import WebhookDelivery

COLUMNS = {
    each.__name__: each._fields
    for each in (
        AuditRecord,
        AuditRow,
        Control,
        WebhookDelivery,
        Ends,
        Grant,
        GrantAge,
        GrantRef,
        IdempotentCall,
        KeySecret,
        KeyUse,
        Measured,
        Moved,
        Numbers,
        OneTimeLink,
        Revocation,
        SignIn,
        SigningKey,
        SlowHash,
        Stats,
        StoredSecret,
        Webhook,
    )
} | {"ApiKeyRow": (*RECORD, "digest"), "EditableKey": EDITABLE}
"""The columns that the named SQL writes as the name of a type, such as `{Grant}`."""

_PLACE = re.compile(r"\{(\?|\w+\.)?(\w+)\}")
"""A place for columns, such as `{Grant}`, or with a question mark for one parameter each, such as `{?Grant}`."""


def load_queries(dialect: str | None = None) -> dict[str, str]:
    """The named queries, name -> SQL. If the dialect has a query of the same name, that one is used."""
    folder = resources.files("hourpass.server.store").joinpath("sql")
    text = folder.joinpath("queries.sql").read_text("utf-8")
    if dialect is not None:
        text += folder.joinpath(dialect, "queries.sql").read_text("utf-8")
    queries = {}
    for block in text.split("-- name: ")[1:]:
        name, _, rest = block.partition("\n")
        sql = "\n".join(line for line in rest.splitlines() if not line.startswith("--")).strip()
        queries[name.strip()] = _PLACE.sub(_columns, sql)
    return queries


def _columns(place: re.Match[str]) -> str:
    prefix = place[1] or ""
    return ", ".join("?" if prefix == "?" else prefix + column for column in COLUMNS[place[2]])
