"""The audit trail: list its lines, and verify that they are as they were written."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.audit_detail import told_detail
from hourpass.admin.instants import given_moment, known_moment
from hourpass.core.actor import key_of_actor
from hourpass.core.admin_access import HIDDEN_ACTOR, sees, sees_actor
from hourpass.core.audit_filter import FOREVER, AuditFilter, require_reached
from hourpass.core.audit_verification import TrailFinding
from hourpass.core.errors import InvalidRequest
from hourpass.core.event_names import NAMES, name_now
from hourpass.server.admin.context import Context
from hourpass.server.keys.audit_chain import verify_trail
from hourpass.server.store.audit_trail import AuditRecord
from hourpass.server.store.connection import ENDLESS
from hourpass.settings_file import did_you_mean

TOGETHER = 500
"""Lines that are read at once."""

READS = 10
"""Reads for one page at most, if few of the lines are wanted. The next page goes on after them."""

READS_OF_OWN = 3
"""The same for a delegated caller, for whom the keys of all these lines are read as well."""

DISTANCE = 50_000
"""How many lines one page looks through for what no index finds, such as an actor."""


def list_audit(ctx: Context, asked: shapes.ListAudit) -> shapes.AuditPage:
    """The lines of the trail that fulfil all conditions. A delegated caller sees those about its own keys."""
    wanted = _Wanted(ctx, _filter(asked))
    at = _Cursor.read(asked)
    page = _newest(ctx, asked, wanted, at.number) if at.newest else _after(ctx, asked, wanted, at.number)
    if asked.names:
        _name(ctx, page.data)
    return page


def _name(ctx: Context, lines: list[shapes.AuditLine]) -> None:
    """Tell the names of the keys that the caller sees."""
    ids = {key_id for line in lines for key_id in (line.key_id, key_of_actor(line.actor)) if key_id}
    keys = ctx.store.keys_of_ids(sorted(ids))
    names = {key_id: key.name for key_id, key in keys.items() if sees(ctx.caller, key)}
    for line in lines:
        line.key_name = names.get(line.key_id or "", UNSET)
        line.actor_name = names.get(key_of_actor(line.actor) or "", UNSET)


def _after(ctx: Context, asked: shapes.ListAudit, wanted: "_Wanted", number: int) -> shapes.AuditPage:
    require_reached(number, ctx.store.numbers().last_audit)
    found: list[shapes.AuditLine] = []
    for _ in range(wanted.reads):
        page = ctx.store.audit_after(number, TOGETHER)
        for line in wanted.of(page):
            found.append(line)
            if len(found) == asked.limit:
                return shapes.AuditPage(data=found, next=_Cursor(line.number).text(), last=line.number)
        number = page[-1].n if page else number
        if len(page) < TOGETHER:
            return shapes.AuditPage(data=found, next=None, last=number)
    return shapes.AuditPage(data=found, next=_Cursor(number).text(), last=number)


def _newest(ctx: Context, asked: shapes.ListAudit, wanted: "_Wanted", before: int) -> shapes.AuditPage:
    found: list[shapes.AuditLine] = []
    last = min(before - 1, ctx.store.control().last_audit)
    if wanted.is_of_others():
        return shapes.AuditPage(data=[], next=None, last=last)
    floor = ctx.store.audit_floor(wanted.narrowing, DISTANCE, before)
    for _ in range(wanted.reads):
        page = ctx.store.newest_audit(wanted.narrowing, TOGETHER, before, floor)
        lines, room = [*wanted.of(page)], asked.limit - len(found)
        is_last = len(page) < TOGETHER and len(lines) <= room
        found = lines[-room:] + found
        if is_last:
            rest = _Cursor(floor + 1, newest=True).text() if floor else None
            return shapes.AuditPage(data=found, next=rest, last=last)
        if len(found) == asked.limit:
            return shapes.AuditPage(data=found, next=_Cursor(found[0].number, newest=True).text(), last=last)
        before = page[0].n
    return shapes.AuditPage(data=found, next=_Cursor(before, newest=True).text(), last=last)


class _Cursor(NamedTuple):
    """Where a page begins: after a number, or with the newest lines before one."""

    number: int
    newest: bool = False

    @classmethod
    def read(cls, asked: shapes.ListAudit) -> "_Cursor":
        if asked.newest and asked.after:
            raise InvalidRequest("after goes forwards and newest backwards: leave one of them out", name="after")
        if asked.cursor is None:
            return cls(ENDLESS, newest=True) if asked.newest else cls(asked.after)
        side, number = asked.cursor[:1], asked.cursor[1:]
        if side not in {"a", "b"} or not number.isdecimal() or len(number) > 18:
            raise InvalidRequest("this is not a cursor of this list", name="cursor")
        return cls(int(number), newest=side == "b")

    def text(self) -> str:
        return f"{'b' if self.newest else 'a'}{self.number}"


class _Wanted:
    """The lines that a caller asks for and may see."""

    def __init__(self, ctx: Context, wanted: AuditFilter) -> None:
        self._ctx = ctx
        self._wanted = wanted
        self.reads = READS_OF_OWN if ctx.caller.is_delegated else READS
        # A caller from whom actors are hidden must not find them by asking for them.
        self.narrowing = wanted._replace(actor="") if ctx.caller.is_delegated else wanted

    def is_of_others(self) -> bool:
        """Whether a delegated caller asks for a key or a grant that it does not see, or that does not exist.

        A search reads the lines of that alone, so how far it gets would tell the two apart.
        """
        key_id = self._wanted.key_id
        if not self._ctx.caller.is_delegated or not (key_id or self._wanted.grant_id):
            return False
        if not key_id:
            lines = self._ctx.store.newest_audit(AuditFilter(grant_id=self._wanted.grant_id), 1)
            key_id = (lines[0].key_id if lines else None) or ""
        return key_id not in self._seen([key_id])

    def of(self, records: list[AuditRecord]) -> Iterator[shapes.AuditLine]:
        """The lines that the caller asks for and may see, as the caller is told them."""
        seen = self._seen({each.key_id for each in records if each.key_id}) if self._ctx.caller.is_delegated else None
        for each in records:
            if seen is not None and each.key_id not in seen:
                continue
            line = _line(each, open_=sees_actor(self._ctx.caller, each.actor))
            if self._wanted.takes(each.at, each.event, key_id=each.key_id, grant_id=each.grant_id, actor=line.actor):
                yield line

    def _seen(self, key_ids: Collection[str]) -> set[str]:
        """Those of the ids of keys that the caller sees."""
        keys = self._ctx.store.keys_of_ids(sorted(key_ids))
        return {key_id for key_id, key in keys.items() if sees(self._ctx.caller, key)}


def _filter(asked: shapes.ListAudit) -> AuditFilter:
    event = name_now(asked.event or "")
    if event and event not in NAMES.values():
        raise InvalidRequest(f"this is not an event{did_you_mean(event, NAMES.values())}", name="event")
    return AuditFilter(
        key_id=asked.key_id or "",
        grant_id=(asked.grant_id or "").lower(),
        event=event,
        since=0 if asked.since is None else given_moment("since", asked.since),
        until=FOREVER if asked.until is None else given_moment("until", asked.until),
        actor=asked.actor or "",
    )


def _line(record: AuditRecord, *, open_: bool) -> shapes.AuditLine:
    return shapes.AuditLine(
        number=record.n,
        at=known_moment(record.at),
        event=record.event,
        key_id=record.key_id,
        grant_id=record.grant_id,
        actor=record.actor if open_ else HIDDEN_ACTOR,
        address=record.address if open_ else None,
        request_id=record.request_id if open_ else None,
        detail=told_detail(record.detail),
    )


def verify_audit(ctx: Context, asked: shapes.Nothing) -> shapes.VerifiedAudit:
    """Whether nobody changed, removed, inserted or reordered a line of the trail."""
    verified = verify_trail(ctx.store, ctx.secrets, ctx.now)
    ends = verified.ends
    chain = ends and shapes.AuditChain(
        began_at=known_moment(ends.began_at),
        began_after=ends.began_n,
        pruned_to=ends.anchor_n,
        ends_at=ends.head_n,
        mac=ends.head_mac.hex(),
    )
    return shapes.VerifiedAudit(
        intact=not verified.findings,
        lines=verified.rows,
        first=_row(verified.first),
        last=_row(verified.last),
        unchained=verified.unchained,
        chain=chain,
        findings=[_finding(each) for each in verified.findings],
        late=[_finding(each) for each in verified.late],
    )


def _row(row: tuple[int, int] | None) -> shapes.AuditPlace | None:
    return None if row is None else shapes.AuditPlace(number=row[0], at=known_moment(row[1]))


def _finding(finding: TrailFinding) -> shapes.AuditFinding:
    return shapes.AuditFinding(**finding._asdict(), text=str(finding))
