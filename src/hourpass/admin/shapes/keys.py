"""What is asked and answered about API keys."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from hourpass.admin.shapes.asked import PAGE, AdminAnswer, Asked, Instant, PageLimit, Seconds, TaggedAnswer
from hourpass.core.admin_access import Role
from hourpass.core.api_key import ClaimValue, Environment, KeyState
from hourpass.core.key_filter import AdminKeys


class KeyMembers(Asked, kw_only=True):
    """The members of a key that may be set. None takes a member away."""

    name: str | UnsetType = UNSET
    scope: str | UnsetType | None = UNSET
    audiences: list[str] | UnsetType | None = UNSET
    claims: dict[str, ClaimValue] | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType | None = UNSET
    allowed_ips: list[str] | UnsetType | None = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    raw_until: Instant | UnsetType | None = UNSET
    retry_window: int | UnsetType | None = UNSET
    access_token_lifetime: int | UnsetType | None = UNSET
    self_rotation: bool | UnsetType | None = UNSET
    admin: Role | UnsetType | None = UNSET
    subject_prefix: str | UnsetType | None = UNSET
    max_scope: str | UnsetType | None = UNSET


class Use(AdminAnswer, kw_only=True):
    """A use of a key: when, and from which address if it is known."""

    at: Instant
    address: str | None


class Key(TaggedAnswer, kw_only=True):
    """An API key, without any secret."""

    TAGGED = KeyMembers.__struct_fields__

    key_id: str
    name: str
    environment: Environment
    subject: str
    scope: str
    audience: str | None
    audiences: list[str]
    claims: dict[str, ClaimValue]
    tags: dict[str, str]
    external_id: str | None
    state: KeyState
    retry_window: int | None
    access_token_lifetime: int | None
    allowed_ips: list[str]
    self_rotation: bool
    created_at: Instant
    expires_at: Instant | None
    raw_until: Instant | None
    disabled_at: Instant | None
    revoked_at: Instant | None
    revoked_why: str | None
    next_secret_at: Instant | None
    old_secret_until: Instant | None
    admin: Role | None
    subject_prefix: str | None
    max_scope: str | None
    grants: int | UnsetType = UNSET
    last_used: dict[str, Use] | UnsetType = UNSET


class CreatedKey(Key, kw_only=True):
    """An API key that was just made. `api_key` is the key itself, which is shown only this once."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"CreatedKey({self.key_id!r})"


class KeyPage(AdminAnswer, kw_only=True):
    """Some keys, and where the next page begins."""

    data: list[Key]
    next: str | None


class KeyNamed(Asked, kw_only=True):
    """An API key, by its id."""

    key_id: str


class ListKeys(Asked, kw_only=True):
    """Which keys to list. All conditions must hold. Spans are seconds, a tag is `NAME=TEXT`.

    `text` is part of the name, the subject, the key id or the external id. `admin` takes admin keys alone: those of a
    role, or `any`.
    """

    state: KeyState | None = None
    subject: str | None = None
    tag: list[str] = msgspec.field(default_factory=list)
    expires_within: Seconds | None = None
    raw_since: Seconds | None = None
    unused_for: Seconds | None = None
    external_id: str | None = None
    next_waits: bool = False
    admin: AdminKeys | None = None
    text: str | None = None
    limit: PageLimit = PAGE
    cursor: str | None = None


class CreateKey(KeyMembers, kw_only=True):
    """A new key. Its subject is its id if none is given."""

    name: str
    environment: Environment = "production"
    subject: str | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET


class UpdateKey(KeyMembers, kw_only=True):
    """A change of a key. `now` ends the access tokens that are out as well. `if_match` is the ETag it was read with."""

    key_id: str
    now: bool = False
    if_match: str | None = None


class FindKey(Asked, kw_only=True):
    """A whole API key, to find out which one it is. With `alive` one whose secret has ended is not found."""

    api_key: str
    alive: bool = False

    def __repr__(self) -> str:
        """Without the key."""
        return "FindKey(…)"


class RevokeKey(KeyNamed, kw_only=True):
    """A key to end. `reason` is kept with the end and told in events. Its holder learns only that it was revoked."""

    reason: Literal["revoked", "leaked"] = "revoked"


class DisableKey(KeyNamed, kw_only=True):
    """A key to disable. `now` ends the access tokens that are out as well."""

    now: bool = False


class RotateKey(KeyNamed, kw_only=True):
    """A key to give its next secret. `overlap` is in seconds. `now` ends the old one, its grants and its tokens."""

    overlap: int | UnsetType = UNSET
    now: bool = False


class RotatedKey(AdminAnswer, kw_only=True):
    """The next secret of a key, which is shown only this once. `overlap` is in seconds."""

    api_key: str
    key_id: str
    external_id: str | None
    overlap: int
    expires_at: Instant | None

    def __repr__(self) -> str:
        """Without the key."""
        return f"RotatedKey({self.key_id!r})"


class Changed(AdminAnswer, kw_only=True):
    """Whether a call changed the key. It did not if the key was like that before."""

    key_id: str
    changed: bool


MOST_TEXTS = 400
"""Texts in one question: so many keys are within the limit of a body."""


class LeakedTexts(Asked, kw_only=True):
    """Texts that look like keys, as a scanner found them."""

    texts: Annotated[list[Annotated[str, msgspec.Meta(max_length=128)]], msgspec.Meta(max_length=MOST_TEXTS)]

    def __repr__(self) -> str:
        """Without the texts."""
        return f"LeakedTexts({len(self.texts)} texts)"


class LeakedKey(AdminAnswer, kw_only=True):
    """A key of this server that somebody found. `good` says whether it was accepted until then."""

    key_id: str
    name: str
    subject: str
    environment: str
    state: str
    good: bool
    created_at: Instant
    last_used: Instant | None
    last_how: str | None
    last_from: str | None
    revoked: bool


class LeakedKeys(AdminAnswer, kw_only=True):
    """The keys of this server among some texts, and how many of the texts only look like one."""

    keys: list[LeakedKey]
    strangers: int
