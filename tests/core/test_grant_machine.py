"""The promises of a grant, held against every order of events that a machine can think of.

A `Row` plays the database: it applies a decision at once, or, if the server crashes before the commit, not at all.
If it crashes after the commit, or the answer is lost, the client never learns what happened. The promises are judged
by what clients were told and when, never by the ring that the decision itself reads.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hourpass.core.grant import Ahead, Burst, Dead, Replay, Retry, Rotate, decide_refresh, open_grant, revoke
from hourpass.core.grant_room import GrantAge, closing_order, excess_grants
from hourpass.core.policy import HOUR, MINUTE, Policy

START = 1_800_000_000_000
WINDOWS = [0, 1, 1_000, MINUTE, 5 * MINUTE]
POLICY = Policy(idle_lifetime=HOUR, absolute_lifetime=3 * HOUR, grants_per_key=3)
SUCCESS = Rotate | Burst | Retry
WORKERS = st.integers(0, 3)


class GrantMachine(RuleBasedStateMachine):
    """One grant, four workers that share its tokens, a thief who keeps every token, and an operator."""

    @initialize(window=st.sampled_from(WINDOWS))
    def create_the_key(self, window):
        self.now = self.latest = START
        self.window = window
        self.exchange()

    def exchange(self):
        self.row = open_grant(
            grant_id=b"g" * 16, seed=b"s" * 16, key_id="key", scope=None, now=self.now, policy=self.policy
        )
        self.key_usable = True
        self.ended = False  # somebody was told that the grant is revoked
        self.held = [0, 0, 0, 0]  # the newest generation that each worker was told of
        self.left: list[tuple[int, int]] = []  # for each superseded generation: when, and the shortest window since
        self.idle_until, self.alive_until = self.now + HOUR, self.now + 3 * HOUR

    @property
    def policy(self) -> Policy:
        return POLICY.with_retry_window(self.window)

    @property
    def live(self) -> bool:
        return self.key_usable and not self.ended and self.now < min(self.idle_until, self.alive_until)

    def decide(self, generation):
        return decide_refresh(self.row, generation, self.now, self.policy, key_usable=self.key_usable)

    def promised(self, generation) -> bool:
        """Whether an honest holder of the generation is sure to be served."""
        if generation == len(self.left):
            return True
        superseded_at, shortest_window = self.left[generation]
        # A window that has passed once does not open again because the clock steps back.
        return shortest_window > 0 and self.latest - superseded_at <= shortest_window

    def present(self, generation, *, crash="none"):
        """A request as the server carries it out: decide, commit, answer."""
        before, decision = self.row, self.decide(generation)
        if self.window == 0:
            assert not isinstance(decision, Burst | Retry)
        if crash == "before the commit":
            return None
        match decision:
            case Rotate(grant):
                assert grant.generation == generation + 1 == len(self.left) + 1
                # A generation is superseded no earlier than the one before it, also by a clock that steps back.
                self.left.append((max([self.now, *[at for at, _ in self.left]]), self.window))
                self.idle_until = self.now + HOUR
                self.row = grant
            case Burst(grant) | Retry(grant) | Ahead(grant):
                assert grant == before
            case Replay(grant):
                assert grant == revoke(before, self.now, "replayed")
                self.ended = True
                self.row = grant
        return None if crash == "after the commit" else decision

    # Clients.

    @rule(worker=WORKERS, crash=st.sampled_from(["none", "none", "before the commit", "after the commit"]))
    def an_honest_worker_refreshes(self, worker, crash):
        """It holds what it was told last, and comes back within the window after that was superseded."""
        generation = self.held[worker]
        if not (self.live and self.promised(generation)):
            return
        answer = self.present(generation, crash=crash)
        if answer is not None:
            assert isinstance(answer, SUCCESS)
            assert answer.grant.generation == self.row.generation
            self.held[worker] = answer.grant.generation

    @rule(worker=WORKERS)
    def a_worker_reads_what_another_one_was_told(self, worker):
        self.held[worker] = max(self.held)

    @rule(back=st.integers(0, 12))
    def somebody_presents_any_generation_ever_issued(self, back):
        generation = max(0, len(self.left) - back)
        live, kept = self.live, self.promised(generation)
        decision = self.present(generation)
        if live and kept:
            assert isinstance(decision, SUCCESS)
        elif live and (self.window == 0 or self.now - self.left[generation][0] > self.window):
            assert isinstance(decision, Replay)
        elif not live:
            assert isinstance(decision, Dead)

    @rule(ahead=st.integers(1, 3))
    def a_token_comes_from_the_future(self, ahead):
        assert isinstance(self.present(len(self.left) + ahead), Ahead if self.live else Dead)

    @rule(count=st.integers(7, 10))
    def a_busy_worker_rotates_many_times_at_once(self, count):
        if self.live:
            for _ in range(count):
                assert isinstance(self.present(len(self.left)), Rotate | Burst)

    @precondition(lambda self: not self.live)
    @rule()
    def a_refused_client_exchanges_its_key_again(self):
        self.exchange()

    # The operator, and time.

    def time_comes_to(self, instant):
        self.now = max(self.now, instant)
        self.latest = max(self.latest, self.now)

    @rule(window=st.sampled_from(WINDOWS))
    def the_key_s_window_is_changed(self, window):
        self.window = window
        self.left = [(at, min(shortest, window)) for at, shortest in self.left]

    @precondition(lambda self: len(self.left) > 3)
    @rule()
    def the_grant_is_revoked(self):
        self.row = revoke(self.row, self.now, "revoked")
        self.ended = True

    @precondition(lambda self: len(self.left) > 3)
    @rule(usable=st.booleans())
    def the_key_is_disabled_or_enabled(self, usable):
        self.key_usable = usable

    @rule(amount=st.sampled_from([1, 10, 999, 1_000, MINUTE, HOUR - 1]))
    def time_passes(self, amount):
        self.time_comes_to(self.now + amount)

    @precondition(lambda self: self.left)
    @rule(back=st.integers(1, 10), offset=st.sampled_from([-1, 0, 0, 1]))
    def time_comes_to_the_end_of_a_generation_s_window(self, back, offset):
        superseded_at, _ = self.left[max(0, len(self.left) - back)]
        self.time_comes_to(superseded_at + self.window + offset)

    @precondition(lambda self: len(self.left) > 3)
    @rule(offset=st.sampled_from([-1, 0]))
    def time_comes_to_the_expiry(self, offset):
        self.time_comes_to(min(self.idle_until, self.alive_until) + offset)

    @rule(amount=st.sampled_from([1, 500, MINUTE]))
    def the_clock_steps_back(self, amount):
        self.now -= amount

    # These hold at every moment.

    @invariant()
    def at_most_one_generation_can_rotate(self):
        answers = [self.decide(generation) for generation in range(len(self.left) + 3)]
        moving = [generation for generation, answer in enumerate(answers) if isinstance(answer, Rotate | Burst)]
        assert moving == ([len(self.left)] if self.live else [])

    @invariant()
    def the_generation_never_goes_back(self):
        assert self.row.generation == len(self.left) >= max(self.held)

    @invariant()
    def an_ended_grant_serves_nobody(self):
        if self.ended:
            assert self.row.revoked_at is not None
            assert all(isinstance(self.decide(generation), Dead) for generation in range(len(self.left) + 2))

    @invariant()
    def every_promised_generation_would_be_served(self):
        if self.live:
            for generation in range(len(self.left) + 1):
                if self.promised(generation):
                    assert isinstance(self.decide(generation), SUCCESS)


class CapMachine(RuleBasedStateMachine):
    """The grants of one key under a cap: a closed grant is gone, and it is always the one that will be missed least."""

    @initialize(cap=st.integers(1, 4) | st.just(100))
    def create_the_key(self, cap):
        self.now = START
        self.rows: dict[bytes, object] = {}
        self.closed: set[bytes] = set()
        self.refreshed_at: dict[bytes, int] = {}
        self.policy = POLICY._replace(grants_per_key=cap)

    @rule(count=st.integers(1, 3) | st.just(100))
    def exchange(self, count):
        for _ in range(count):
            grant_id = (len(self.rows) + len(self.closed)).to_bytes(16, "big")
            self.rows[grant_id] = open_grant(
                grant_id=grant_id, seed=b"s" * 16, key_id="key", scope=None, now=self.now, policy=self.policy
            )
            # The newcomer is among those that may be closed: if all others refreshed, it makes room itself.
            self.make_room(excess_grants(len(self.rows), self.policy))
            assert len(self.rows) <= self.policy.grants_per_key

    def make_room(self, count):
        ages = [
            GrantAge(row.grant_id, row.generation, row.idle_expires_at, row.created_at) for row in self.rows.values()
        ]
        closing = closing_order(ages, count)
        assert len(set(closing)) == len(closing) == count
        self.closed.update(closing)
        closed_rows = [self.rows.pop(grant_id) for grant_id in closing]
        for closed in closed_rows:
            for kept in self.rows.values():
                assert self.worth(closed) <= self.worth(kept)

    def worth(self, row):
        """Never refreshed is worth least, then long ago, then opened long ago."""
        return (self.refreshed_at.get(row.grant_id, 0), row.created_at)

    @precondition(lambda self: self.rows)
    @rule(picks=st.lists(st.integers(0, 99), min_size=1, max_size=6))
    def refresh(self, picks):
        for pick in picks:
            self.now += 1
            grant_id = list(self.rows)[pick % len(self.rows)]
            row = self.rows[grant_id]
            decision = decide_refresh(row, row.generation, self.now, self.policy)
            if isinstance(decision, Rotate):
                self.rows[grant_id] = decision.grant
                self.refreshed_at[grant_id] = self.now

    @rule(amount=st.sampled_from([1, MINUTE, HOUR]))
    def time_passes(self, amount):
        self.now += amount

    @invariant()
    def a_closed_grant_is_unknown_and_no_other_is(self):
        for grant_id in self.closed:
            assert decide_refresh(self.rows.get(grant_id), 0, self.now, self.policy) == Dead("unknown")


def test_a_grant_keeps_its_promises_in_every_order_of_events():
    run_state_machine_as_test(GrantMachine, settings=settings(max_examples=250, stateful_step_count=50))


def test_a_key_stays_within_its_cap_and_loses_the_least_used_grants():
    run_state_machine_as_test(CapMachine, settings=settings(max_examples=60, stateful_step_count=25))
