"""What is asked and answered about importing keys."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from hourpass.admin.shapes.asked import AdminAnswer, Asked


class ImportKeys(Asked, kw_only=True):
    """How to import keys. The rows are the body, a JSON object on each line.

    With `dry_run` nothing is changed. With `each` the answer lists what became of each line, and not only of those that
    failed or have a warning. The first line of the body has the number `first_line`.
    """

    dry_run: bool = False
    accept_weak: bool = False
    each: bool = False
    first_line: Annotated[int, msgspec.Meta(ge=0)] = 1


class ImportedLine(AdminAnswer, kw_only=True):
    """What became of one line. `reason` says why it failed, and `warning` where its key cannot go, and show no key."""

    line: int
    result: Literal["created", "updated", "unchanged", "failed"]
    key_id: str | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    warning: str | UnsetType = UNSET


class ImportedKeys(AdminAnswer, kw_only=True):
    """How many rows became what. `lines` has the first of those that were asked for.

    `ambiguous` counts keys with a colon, which HTTP Basic cannot carry, or a comma, which other headers cannot.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    ambiguous: int = 0
    lines: list[ImportedLine] = msgspec.field(default_factory=list)
