"""What the audit trail can say: every event, and how long a value in a line may be.

Routine successes are counted by metrics. The trail holds what an operator or a security engineer may need to prove.
No event ever holds a key, a token or a digest.
"""

from typing import NamedTuple

from hourpass.core.actor import SERVER, Actor
from hourpass.core.grant_events import (
    GrantReplayed,
    GrantRevoked,
    GrantsClosed,
    RefreshAhead,
    RefreshRetriedElsewhere,
    TokenRevoked,
    TokensRevoked,
)
from hourpass.core.key_events import (
    KeyCreated,
    KeyDisabled,
    KeyEnabled,
    KeyExpired,
    KeyExpiring,
    KeyImported,
    KeyLeaked,
    KeyRawUsedAfterEnd,
    KeyRevoked,
    KeyRevokedUsed,
    KeyRotated,
    KeyRotatedUsed,
    KeyTokensEnded,
    KeyUpdated,
)
from hourpass.core.server_events import (
    ConsoleRefused,
    ConsoleSignedIn,
    ConsoleSignedOut,
    MasterKeyRotated,
    Restored,
    SecretRetired,
    SecretRotated,
    SigningKeyPublished,
    SigningKeyWithdrawn,
    StorageRecovered,
    StorageTrouble,
)
from hourpass.core.webhook_events import (
    WebhookCreated,
    WebhookDeleted,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRotated,
    WebhookUpdated,
)

LONGEST_VALUE = 1_100
"""Bytes of an old or a new value in a line, as JSON. A longer one is cut. A scope and claims are shorter."""


def in_bounds(value: object, written: bytes) -> object:
    """A value as a line may keep it: itself, or the beginning of its JSON (`written`) with how long it was."""
    if len(written) <= LONGEST_VALUE:
        return value
    return f"{written[:LONGEST_VALUE].decode(errors='ignore')}… (cut, {len(written):,} bytes)"


class Folded(NamedTuple):
    """What a client repeated: `times` events of one name were not written, each by itself, since an epoch millisecond.

    `of` is the name of these events. `key_id` is None if they have none.
    """

    key_id: str | None
    of: str
    times: int
    since: int
    actor: Actor = SERVER


Event = (
    KeyCreated
    | KeyImported
    | KeyRevoked
    | KeyRevokedUsed
    | KeyRotated
    | KeyRotatedUsed
    | KeyRawUsedAfterEnd
    | KeyExpiring
    | KeyExpired
    | KeyLeaked
    | KeyUpdated
    | KeyTokensEnded
    | KeyDisabled
    | KeyEnabled
    | GrantRevoked
    | GrantReplayed
    | RefreshAhead
    | RefreshRetriedElsewhere
    | GrantsClosed
    | TokenRevoked
    | TokensRevoked
    | Restored
    | SigningKeyPublished
    | SigningKeyWithdrawn
    | MasterKeyRotated
    | SecretRotated
    | SecretRetired
    | ConsoleSignedIn
    | ConsoleRefused
    | ConsoleSignedOut
    | Folded
    | StorageTrouble
    | StorageRecovered
    | WebhookCreated
    | WebhookUpdated
    | WebhookRotated
    | WebhookDisabled
    | WebhookEnabled
    | WebhookDeleted
)
