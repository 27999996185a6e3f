"""Settles a batch: what one transaction of the ledger does for all of its callers, and what it remembers for the next.

It carries out what `core.grant` decides, and has no rule of its own. Two transactions may settle at the same time, each
in its thread, and both use what is remembered. So remembered keys are used only at the version they were read at.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hourpass.core import grant_events
from hourpass.core.actor import Actor
from hourpass.core.address import unpack_address
from hourpass.core.api_key import ApiKey, why_refused_now, why_unusable
from hourpass.core.audit import Event
from hourpass.core.errors import InvalidCredentials, Unavailable
from hourpass.core.grant import Ahead, Dead, Grant, GrantRef, Replay, Retry, Rotate, judge
from hourpass.core.grant_room import closing_order, excess_grants
from hourpass.core.policy import HOUR, Policy
from hourpass.server.ledger.absences import Absences
from hourpass.server.ledger.asking import GrantHeld, Opened, Opening, Refreshed, Refreshing
from hourpass.server.ledger.remembered import Keys
from hourpass.server.ledger.stall import Stalled, Stalls
from hourpass.server.store import Store
from hourpass.server.store.revocations import NewRevocation

TOLD_EVERY = HOUR
"""How often (in milliseconds) the trail reports a grant whose client sends a token from the future, or retries from
another address."""

TOLD_KEPT = 100_000
"""How many such cases are remembered."""


_UNDECIDED = Refreshed(Dead("unknown"), None, None)


class Settling:
    """Does the work inside the transactions of one ledger.

    `keys` is what is remembered of keys. A transaction that adds to it takes it before it reads, as in `look_up`.
    """

    def __init__(self, policy: Policy, absences: Absences | None, stalls: Stalls | None) -> None:
        self._policy = policy
        self._absences = absences
        self._stalls = stalls
        self._version = -1
        self.keys = Keys()
        self._turning = threading.Lock()
        self._live: dict[str, int] = {}
        self._told: dict[object, int] = {}

    # What is remembered between transactions.

    def look_up(self, store: Store, key_ids: Sequence[str]) -> list[ApiKey | None]:
        """The keys of these ids, read if they are not remembered. It must be the first read of its transaction."""
        # The dictionary is taken once, for all of them. Another transaction may notice a change meanwhile and replace
        # it. This transaction may still see the keys before that change, and must not put them into the new one.
        keys = self.keys
        return [keys.read(store, key_id) for key_id in key_ids]

    def look_up_fresh(self, store: Store, key_ids: Sequence[str]) -> list[ApiKey | None]:
        """The keys of these ids as they are now. It must be the first read of its transaction, too."""
        keys = self.keys_at(store.control().version)
        return [keys.read(store, key_id) for key_id in key_ids]

    def keys_at(self, version: int) -> Keys:
        """The keys remembered at a version. An empty dictionary if the remembered ones were read at another version.

        The caller adds the keys that it reads to this dictionary. If another transaction sees another version, it
        replaces the dictionary, and everything read under the old version is dropped with it.
        """
        with self._turning:
            if version != self._version:
                self._version, self.keys = version, Keys()
            return self.keys

    def distrust(self) -> None:
        """Forget everything, after a transaction failed: what it counted or remembered may be wrong."""
        self._version = -1
        self._live.clear()
        self._told.clear()

    def recount(self) -> None:
        """Forget how many grants each key has, so that they are counted again."""
        self._live.clear()

    def policy_at(self, now: int) -> Policy:
        """The policy with the absences that matter at an instant."""
        absences = self._absences.at(now) if self._absences else ()
        return self._policy._replace(absences=absences) if absences else self._policy

    # Inside a transaction.

    def settle(self, store: Store, batch: Sequence[Opening | Refreshing], since: int) -> list[Any]:
        """Carry out a batch. Returns the answers in the order of the batch. Some answers are errors.

        `since` is the instant, by the timer of the stalls, at which the first of it was read.
        """
        # Another process may have revoked a key: the version tells whether the remembered ones are still right.
        keys = self.keys_at(store.control().version)
        openings: list[Opening] = []
        refreshings: list[Refreshing] = []
        for asked in batch:
            if isinstance(asked, Opening):
                openings.append(asked)
            else:
                refreshings.append(asked)
        events: list[tuple[int, Event]] = []
        opened: list[Any] = self._open_all(store, keys, openings, events) if openings else []
        refreshed: list[Any] = self._refresh_all(store, keys, refreshings, events, since) if refreshings else []
        if events:
            # Last, and all together: from here to its commit this transaction blocks all others that need a number.
            store.append_lines(events)
        if not (opened and refreshed):
            return opened or refreshed
        of_openings, of_refreshings = iter(opened), iter(refreshed)
        return [next(of_openings if isinstance(asked, Opening) else of_refreshings) for asked in batch]

    def _open_all(
        self, store: Store, keys: Keys, openings: list[Opening], events: list[tuple[int, Event]]
    ) -> list[Any]:
        grants: list[Grant] = []
        answers: list[Any] = []
        latest: dict[str, int] = {}
        for asked in openings:
            key = keys.read(store, asked.grant.key_id)
            trouble = None if key is None else _why_not(key, asked)
            if key is None or trouble:
                answers.append(InvalidCredentials("the key ended while the exchange was under way", reason=trouble))
            else:
                latest[key.key_id] = len(answers)
                grants.append(asked.grant)
                answers.append(Opened(key, 0))
        store.add_grants(grants)
        newcomers = Counter(grant.key_id for grant in grants)
        for key_id, position in latest.items():
            closed = self._make_room(store, key_id, newcomers[key_id])
            if closed:
                opened_from = openings[position].grant.opened_from
                by = Actor("client", unpack_address(opened_from) if opened_from else None)
                events.append((openings[position].now, grant_events.GrantsClosed(key_id, closed, by)))
                answers[position] = Opened(answers[position].key, closed)
        return answers

    def _make_room(self, store: Store, key_id: str, newcomers: int) -> int:
        """Close the grants beyond the key's cap. Returns how many."""
        known = self._live.get(key_id)
        live = store.count_grants(key_id) if known is None else known + newcomers
        if known is not None and excess_grants(live, self._policy):
            # The remembered count drifts: grants are revoked, pruned, and opened by other processes.
            live = store.count_grants(key_id)
        self._live[key_id] = live
        excess = excess_grants(live, self._policy)
        if not excess:
            return 0
        closing = closing_order(store.grant_ages(key_id), excess)
        closed = store.delete_grants([GrantRef(key_id, grant_id) for grant_id in closing])
        self._live[key_id] = live - closed
        return closed

    def _refresh_all(
        self, store: Store, keys: Keys, refreshings: list[Refreshing], events: list[tuple[int, Event]], since: int
    ) -> list[Refreshed | Unavailable]:
        """Decide on each one in turn, on the state that the one before it left. Then store what changed.

        If another transaction holds a grant, it is not waited for, and nothing is decided about it. If another node
        changed a grant meanwhile, it is read and decided again, so the loser of a race gets a retry.
        """
        answers: list[Refreshed | Unavailable] = [_UNDECIDED] * len(refreshings)
        undecided: Sequence[int] = range(len(refreshings))
        while undecided:
            before, held = store.take_grants(list({refreshings[i].ref: None for i in undecided}))
            state = dict(before)
            for i in undecided:
                asked = refreshings[i]
                if asked.ref in held:
                    answers[i] = GrantHeld("another transaction holds the grant")
                    continue
                try:
                    answer = answers[i] = self._decide(store, keys, state.get(asked.ref), asked, since)
                except Stalled as error:
                    answers[i] = error
                    continue
                if isinstance(answer.decision, (Rotate, Replay)):  # a union would take three times as long
                    state[asked.ref] = answer.decision.grant
            # Both are in the order of `before`: assigning to a key leaves it in its place.
            rotated = [
                (was.generation, grant)
                for was, grant in zip(before.values(), state.values(), strict=True)
                if grant.generation != was.generation
            ]
            lost = store.save_rotations(rotated) if rotated else ()
            undecided = [i for i in undecided if refreshings[i].ref in lost] if lost else ()
        self._tell(store, refreshings, answers, events)
        return answers

    def _decide(self, store: Store, keys: Keys, grant: Grant | None, asked: Refreshing, since: int) -> Refreshed:
        key = None if grant is None else keys.read(store, grant.key_id)
        if self._stalls and key is not None and key.retry_window is not None:
            self._stalls.require_awake_for(key.retry_window, since)
        policy = self.policy_at(asked.now)
        decision = judge(grant, key, asked.generation, asked.tag, asked.now, policy, asked.address, admin=asked.admin)
        return Refreshed(decision, key, None)

    def _tell(
        self,
        store: Store,
        refreshings: list[Refreshing],
        answers: list[Refreshed | Unavailable],
        events: list[tuple[int, Event]],
    ) -> None:
        """Revoke replayed grants and write audit events, for the whole batch at once. Rotations are stored already."""
        replays: list[tuple[int, Refreshed, Grant]] = []
        for i, answer in enumerate(answers):
            if not isinstance(answer, Refreshed):
                continue
            if isinstance(answer.decision, Replay):
                replays.append((i, answer, answer.decision.grant))
            elif isinstance(answer.decision, Ahead) and self._is_news(answer.decision.grant.ref, refreshings[i].now):
                events.append(_event(grant_events.RefreshAhead, refreshings[i], answer.decision.grant))
            elif isinstance(answer.decision, Retry) and answer.decision.elsewhere:
                events += self._retried_elsewhere(refreshings[i], answer.decision.grant)
        ended = store.revoke_grants([grant for *_, grant in replays]) if replays else ()
        if not ended:
            return
        told = [replay for replay in replays if replay[2].ref in ended]
        lifetime = self._policy.revocation_lifetime
        entries = [NewRevocation("grant", grant.grant_id.hex(), refreshings[i].now + lifetime) for i, _, grant in told]
        for (i, answer, grant), revocation in zip(told, store.add_revocations(entries), strict=True):
            answers[i] = Refreshed(answer.decision, answer.key, revocation)
            events.append(_event(grant_events.GrantReplayed, refreshings[i], grant))

    def _retried_elsewhere(self, asked: Refreshing, grant: Grant) -> list[tuple[int, Event]]:
        if grant.last_from is None or not self._is_news((grant.ref, grant.last_from), asked.now):
            return []
        ids = grant.grant_id.hex(), grant.key_id, asked.generation, grant.generation
        by = unpack_address(grant.last_from), Actor("client", asked.address)
        return [(asked.now, grant_events.RefreshRetriedElsewhere(*ids, *by))]

    def _is_news(self, about: object, now: int) -> bool:
        """Whether the trail should report a case now. The same request may be settled more than once."""
        told = self._told.get(about, now)
        if told < now < told + TOLD_EVERY:
            return False
        if len(self._told) >= TOLD_KEPT:
            self._told.clear()
        self._told[about] = now
        return True


def _why_not(key: ApiKey, asked: Opening) -> str | None:
    """Why a key, as it is now, does not open the grant. It may have changed since it was proven."""
    if asked.proven is None:
        return why_unusable(key, asked.now)
    if asked.proven.key is key:
        return None
    packed = asked.grant.opened_from
    return why_refused_now(key, asked.proven.secret, asked.now, unpack_address(packed) if packed else None)


def _event(
    kind: type[grant_events.RefreshAhead | grant_events.GrantReplayed], asked: Refreshing, grant: Grant
) -> tuple[int, Event]:
    generations = asked.generation, grant.generation
    return asked.now, kind(grant.grant_id.hex(), grant.key_id, *generations, Actor("client", asked.address))
