"""What is asked and answered about grants."""

from hourpass.admin.shapes.asked import PAGE, AdminAnswer, Asked, Instant, PageLimit
from hourpass.core.grant import GrantState
from hourpass.core.grant_life import LifeKind, LifeWeight


class GrantFacts(AdminAnswer, kw_only=True):
    """A grant: what one exchange of an API key opened. `scope` is what its next token gets.

    `generation` counts its refreshes. The addresses are those of the exchange and of the last refresh. `ended_at` is
    null while the grant has not ended, and if nobody knows when it did.
    """

    grant_id: str
    key_id: str
    generation: int
    scope: str
    state: str
    created_at: Instant
    opened_from: str | None
    refreshed_at: Instant | None
    last_from: str | None
    idle_expires_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    ended_at: Instant | None
    key_name: str | None
    subject: str | None


class GrantPage(AdminAnswer, kw_only=True):
    """Some grants, and where the next page begins. A page may be short, or empty, and not be the last one."""

    data: list[GrantFacts]
    next: str | None


class ListGrants(Asked, kw_only=True):
    """Which grants to list: those in a state, or all that are not pruned yet."""

    state: GrantState | None = None
    limit: PageLimit = PAGE
    cursor: str | None = None


class ListGrantsOfKey(ListGrants, kw_only=True):
    """The same for the grants of one API key."""

    key_id: str


class GrantNamed(Asked, kw_only=True):
    """A grant, by its id. `key_id` is the API key that opened it: with it the grant is found at once."""

    grant_id: str
    key_id: str | None = None


class RevokedGrant(AdminAnswer, kw_only=True):
    """Whether a call revoked the grant. It did not if the grant was revoked before."""

    grant_id: str
    key_id: str
    changed: bool


class GrantLifeEvent(AdminAnswer, kw_only=True):
    """Something that happened to a grant, or will. `generation` is the one that began or was presented then."""

    at: Instant
    kind: LifeKind
    sentence: str
    weight: LifeWeight
    generation: int | None
    address: str | None
    actor: str | None


class GrantTimeline(AdminAnswer, kw_only=True):
    """The life of a grant, oldest first. `generation` is how often it was rotated."""

    grant_id: str
    key_id: str
    state: str
    generation: int
    opened_at: Instant
    idle_expires_at: Instant
    expires_at: Instant
    events: list[GrantLifeEvent]
