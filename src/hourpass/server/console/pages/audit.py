"""Audit: find lines of the trail, follow it, take it along, and see whether it is as it was written."""

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from hourpass.admin import shapes
from hourpass.admin.instants import exact_moment
from hourpass.admin.operations import LIST_AUDIT, VERIFY_AUDIT
from hourpass.core.actor import key_of_actor
from hourpass.core.errors import InvalidRequest
from hourpass.core.event_names import NAMES, name_now
from hourpass.server.console.page import Download, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.rendering import as_sentence
from hourpass.server.settings.past import past

FILTERS = ("key", "grant", "event", "actor", "since", "until")
"""The same as the options of `hourpass audit`."""

FOLLOW = {"live": "1"}

EVENTS = tuple(sorted(NAMES.values()))

TONES = {
    "grant.replayed": "bad",
    "key.leaked": "bad",
    "key.raw_used_after_end": "warn",
    "key.revoked_used": "warn",
    "key.rotated_used": "warn",
    "refresh.ahead": "warn",
    "storage.trouble": "warn",
    "webhook.disabled": "warn",
}
"""Events that stand out among the others."""

EXPORTED = 10_000
"""Lines of an export from here. The command exports all."""

READ_FOR_EXPORT = 100
"""Pages that are asked for one, at most: 5 million lines are looked through for an actor."""


def _show(visit: Visit) -> PageAnswer:
    filters = _filters(visit)
    given = {name: value for name, value in filters.items() if value}
    problem, page = "", shapes.AuditPage(data=[], next=None, last=0)
    try:
        asked = _asked(filters, visit.now)
        asked.cursor, asked.names = visit.query.get("cursor"), True
        page = visit.call(LIST_AUDIT, asked)
    except InvalidRequest as error:
        problem = as_sentence(error.detail)
    live = "live" in visit.query and "cursor" not in visit.query and not problem
    return Shown(
        "audit.html",
        {
            "lines": [(line, _details(line), key_of_actor(line.actor)) for line in reversed(page.data)],
            "filters": filters,
            "events": EVENTS,
            "tones": TONES,
            "problem": problem,
            "live": live,
            "query": urlencode(given),
            "follow": urlencode({**given, **FOLLOW}),
            "by": lambda actor: urlencode({**given, "actor": actor, **(FOLLOW if live else {})}),
            "exported": EXPORTED,
            **visit.pager(filters, page.next),
            "command": _command(given, visit.data_flags),
        },
    )


def _filters(visit: Visit) -> dict[str, str]:
    return {name: visit.query.get(name, "").strip() for name in FILTERS}


def _asked(filters: Mapping[str, str], now: int) -> shapes.ListAudit:
    """The newest lines that the filters want.

    Raises:
        InvalidRequest: naming a filter that cannot be read.
    """
    return shapes.ListAudit(
        key_id=filters["key"] or None,
        grant_id=filters["grant"] or None,
        event=name_now(filters["event"]) or None,
        actor=filters["actor"] or None,
        since=_instant("since", filters["since"], now),
        until=_instant("until", filters["until"], now),
        newest=True,
    )


def _instant(name: str, text: str, now: int) -> str | None:
    try:
        return exact_moment(past(text)(now)) if text else None
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", name=name) from None


def _details(line: shapes.AuditLine) -> list[tuple[str, str]]:
    """What the event says besides, each member by itself, so that a text cannot look like another one."""
    others, changed = line.detail, []
    match others:
        case {"old": dict(old), "new": dict(new), **others}:
            changed = [(name, f"{_written(old.get(name))} → {_written(new.get(name))}") for name in {**old, **new}]
        case _:
            pass
    told = [
        (name, value if isinstance(value, str) else _written(value))
        for name, value in others.items()
        if value not in (None, "")
    ]
    return told + changed


def _written(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _command(given: Mapping[str, str], data_flags: tuple[str, ...]) -> str:
    """What exports all lines of a search, on the machine of the server."""
    narrow = (f"--{name}={text}" for name, text in given.items())
    return shlex.join(["hourpass", "audit", "export", "trail.jsonl", *narrow, *data_flags])


def _export(visit: Visit) -> PageAnswer:
    """The newest lines of a search as JSON lines, oldest first. The name says if older ones are missing."""
    asked = _asked(_filters(visit), visit.now)
    lines, is_whole = newest_lines(asked, lambda: visit.call(LIST_AUDIT, asked))
    written = "".join(f"{json.dumps(line.members())}\n" for line in lines)
    at = datetime.fromtimestamp(visit.now / 1000, UTC)
    kind = "" if is_whole else "newest-"
    return Download(f"audit-{kind}{at:%Y%m%dT%H%M%SZ}.jsonl", "application/jsonl", written.encode())


def newest_lines(asked: shapes.ListAudit, ask: Callable[[], shapes.AuditPage]) -> tuple[list[shapes.AuditLine], bool]:
    """The newest lines of a search, as many as an export has, oldest first. And whether these are all of them."""
    asked.limit = 200
    lines: list[shapes.AuditLine] = []
    for _ in range(READ_FOR_EXPORT):
        page = ask()
        lines = page.data + lines
        asked.cursor = page.next
        if page.next is None or len(lines) > EXPORTED:
            break
    return lines[-EXPORTED:], asked.cursor is None and len(lines) <= EXPORTED


def _verify(visit: Visit) -> PageAnswer:
    verified = visit.call(VERIFY_AUDIT, shapes.Nothing())
    values: dict[str, Any] = {"verified": verified, "chain": verified.chain}
    return Shown("audit_verify.html", values)


SECTION = Section(
    "Audit",
    "audit",
    (
        View("/audit", LIST_AUDIT, _show),
        View("/audit/export", LIST_AUDIT, _export, long=True),
        View("/audit/verify", VERIFY_AUDIT, _verify),
    ),
)
