"""What is asked and answered about the audit trail."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from hourpass.admin.shapes.asked import PAGE, AdminAnswer, Asked, Instant, PageLimit
from hourpass.core.audit_verification import TrailFindingKind


class ListAudit(Asked, kw_only=True):
    """Which lines of the audit trail to list. All conditions must hold.

    `actor` is how its name begins. A line at exactly `since` is in, one at `until` is not. The list goes on after the
    number `after`. With `newest` it begins with the newest lines, and the next page is the one before. With `names` the
    lines have the names of keys.
    """

    key_id: str | None = None
    grant_id: str | None = None
    event: str | None = None
    actor: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    newest: bool = False
    names: bool = False
    limit: PageLimit = PAGE
    cursor: str | None = None


class AuditLine(AdminAnswer, kw_only=True):
    """A line of the audit trail. `detail` holds what the event says besides.

    With `names`, `key_name` and `actor_name` are what the key and the admin key that acted are called now. A delegated
    caller is not told who else administers the server: the actor is `operator` then, without an address.
    """

    number: int
    at: Instant
    event: str
    key_id: str | None
    grant_id: str | None
    actor: str | None
    address: str | None
    request_id: str | None
    detail: dict[str, Any]
    key_name: str | UnsetType = UNSET
    actor_name: str | UnsetType = UNSET

    def members(self) -> dict[str, Any]:
        """The line as an export has it: without members that are not known, and with those of `detail` beside them."""
        ids = {name: getattr(self, name) for name in ("key_id", "grant_id", "actor", "address", "request_id")}
        known = {name: value for name, value in ids.items() if value is not None}
        return {"number": self.number, "at": self.at, "event": self.event, **known, **self.detail}


class AuditPage(AdminAnswer, kw_only=True):
    """Some lines, oldest first, and where the next page begins. A page may be short and not be the last one.

    `last` is the number of the last line that was looked at: to follow the trail, ask for what comes after it.
    """

    data: list[AuditLine]
    next: str | None
    last: int


class AuditPlace(AdminAnswer, kw_only=True):
    """Where a line of the trail is."""

    number: int
    at: Instant


class AuditChain(AdminAnswer, kw_only=True):
    """Where the chain over the trail begins and ends. `mac` is in hex."""

    began_at: Instant
    began_after: int
    pruned_to: int
    ends_at: int
    mac: str


class AuditFinding(AdminAnswer, kw_only=True):
    """Something that is wrong with lines of the trail, and the same in words."""

    kind: TrailFindingKind
    first: int
    last: int
    why: str
    text: str


class VerifiedAudit(AdminAnswer, kw_only=True):
    """What a verification of the whole trail of so many `lines` found. Nothing is wrong with those in `late`.

    But until they were chained, nobody would have seen a change.
    """

    intact: bool
    lines: int
    first: AuditPlace | None
    last: AuditPlace | None
    unchained: int
    chain: AuditChain | None
    findings: list[AuditFinding]
    late: list[AuditFinding]
