"""What every question and every answer of the administration has in common."""

import hashlib
from typing import Annotated, Any, ClassVar

import msgspec

from hourpass.core.admin_access import Role

Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]

Seconds = Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)]
"""A span of time. The longest one is three centuries."""

PageLimit = Annotated[int, msgspec.Meta(ge=1, le=200)]

PAGE = 50
"""How many entries a page has if nobody says how many."""


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a caller asks. An unknown member is refused: a misspelt one would be ignored without a word."""


class AdminAnswer(msgspec.Struct, kw_only=True):
    """What is answered."""


class Nothing(Asked, kw_only=True):
    """Nothing is asked."""


class Me(AdminAnswer, kw_only=True):
    """Who the caller is, and what it may do. `name` is that of its admin key."""

    actor: str
    key_id: str | None
    name: str | None
    role: Role
    scopes: list[str]
    subject_prefix: str | None
    max_scope: str | None


class Description(AdminAnswer, kw_only=True):
    """The description of the admin API (OpenAPI 3.1)."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]


class TaggedAnswer(AdminAnswer, kw_only=True):
    """An answer about something that can be changed. `TAGGED` names the members that a change can set."""

    TAGGED: ClassVar[tuple[str, ...]] = ()

    def etag(self) -> str:
        """The entity tag (RFC 9110 §8.8.3), without quotes. It changes when one of the members in `TAGGED` does."""
        members = {name: getattr(self, name) for name in self.TAGGED}
        return hashlib.sha256(msgspec.json.encode(members, order="deterministic")).hexdigest()[:16]


def precondition_holds(if_match: str | None, tag: str) -> bool:
    """Whether a precondition holds: None is none, else it names the tags that will do, separated by spaces."""
    return if_match is None or tag in if_match.split()
