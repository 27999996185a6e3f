"""The chain over the audit trail in a store: begun with its secret, carried on, pruned from its start, verified.

`core/audit_chain.py` knows what a MAC covers. All functions but `verify_trail` each work inside one
transaction of a store that waits for the others of its kind, so that no two of them carry the chain on at once.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from hourpass.core.audit_chain import ChainBroken, Ends, begun, extend, prunable, pruned, secret_for
from hourpass.core.audit_verification import TrailVerification, Verified
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import TRAIL, add_secret, open_secrets_of
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store import Store

TOGETHER = 250
"""Rows that one transaction chains: a few milliseconds, for which other transactions wait."""

OWN_BATCHES = 40
"""How often an administrator's transaction chains so many: more than it writes. The rest is the server's."""

PAGE = 2_000
"""Rows in memory while a trail is verified."""

FIRST_NUMBER = -(2**63)
"""The lowest number of all. An administrator can give a row a negative number with SQL."""


def begin_chain(store: Store, master: MasterKey, now: int, random: Callable[[int], bytes]) -> None:
    """Make the secret of the chain, and note where the chain begins: before the oldest row that is there.

    Both happen in one transaction, and only once. So if one of them is missing later, somebody took it away.
    """
    if store.sealed_secrets(TRAIL):
        return
    add_secret(store, master, TRAIL, random(6).hex(), random(32), now)
    if store.audit_ends() is None:
        (secret,) = open_secrets_of(store, master, TRAIL)
        last = store.numbers().last_audit
        first = store.first_audit()
        store.save_audit_ends(begun(last, last + 1 if first is None else first, now, secret))


class ChainState(NamedTuple):
    """How far the chain is: its last row, the newest row, and the newest one when it began. `is_behind` says whether
    there is something to do. Without ends no row is chained.
    """

    head_n: int
    last: int
    began_n: int
    is_behind: bool


def chain_state(store: Store, secrets: Secrets, now: int) -> ChainState:
    """How far the chain is."""
    ends, last = store.audit_ends(), store.numbers().last_audit
    if ends is None:
        return ChainState(FIRST_NUMBER, last, FIRST_NUMBER, is_behind=True)
    is_behind = ends.head_n < last or ends.kid != secrets.ring(TRAIL).used_at(now).kid
    return ChainState(ends.head_n, last, ends.began_n, is_behind)


def chain_rows(store: Store, secrets: Secrets, now: int, limit: int = TOGETHER) -> bool:
    """Chain the next rows that are not chained yet. Says whether there may be more.

    Raises:
        ChainBroken: if the ends of the chain or its newest rows were tampered with. Nothing is chained then.
    """
    ends = _ends(store)
    secret = secret_for(ends, secrets.ring(TRAIL), now)
    lines = store.audit_lines(ends.head_n + 1, limit)
    if lines or secret.kid != ends.kid:
        ends, macs = extend(ends, lines, now, secret)
        store.set_audit_macs(macs, now)
        store.save_audit_ends(ends)
    return len(lines) == limit


def chain_own_rows(store: Store, secrets: Secrets, now: int) -> None:
    """Chain what an administrator's transaction wrote, before its commit: perhaps no server runs that would do it.

    If the chain is broken, the change is kept all the same. Verifying tells that it is.
    """
    with contextlib.suppress(ChainBroken):
        for _ in range(OWN_BATCHES):
            if not chain_rows(store, secrets, now):
                return


def prune_rows(store: Store, secrets: Secrets, before: int, now: int, limit: int) -> int:
    """Delete the oldest rows from before an instant, up to a limit, and note where the chain begins now.

    Rows that are not chained yet stay. Returns how many were deleted.

    Raises:
        ChainBroken: if the ends of the chain or one of these rows were tampered with. Nothing is deleted then.
    """
    ends = _ends(store)
    secret = secret_for(ends, secrets.ring(TRAIL), now)
    gone = prunable(ends, store.audit_lines(FIRST_NUMBER, limit), before, secrets.ring(TRAIL))
    if gone:
        store.delete_audit_to(gone[-1].n)
        store.save_audit_ends(pruned(ends, gone[-1], secret))
    return len(gone)


def verify_trail(store: Store, secrets: Secrets, now: int) -> Verified:
    """Verify the whole trail as it is at one moment: call it inside a transaction that reads. It changes nothing."""
    verification = TrailVerification(store.audit_ends(), secrets.ring(TRAIL))
    first = FIRST_NUMBER
    while lines := store.audit_lines(first, PAGE):
        verification.take(lines)
        first = lines[-1].n + 1
    return verification.result(store.numbers().last_audit, now)


def _ends(store: Store) -> Ends:
    ends = store.audit_ends()
    if ends is None:
        raise ChainBroken("the record of the chain's ends is missing")
    return ends
