"""What a rotation promises, held against lost answers, parallel askers, first uses and a clock that steps.

The promises are judged by what askers were told and when, never by the rows that the decision itself reads.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hourpass.core.api_key import ApiKey, KeySecret, still_proves
from hourpass.core.key_rotation import (
    MakeNext,
    SameAgain,
    TwoAlive,
    decide_rotation,
    decide_rotation_at_once,
    first_use,
    is_alive,
)

START = 1_800_000_000_000
OVERLAPS = [0, 1, 1_000, 60_000]
STEPS = st.sampled_from([-120_000, -1_000, -1, 1, 999, 1_000, 60_000, 3_600_000])


class RotationMachine(RuleBasedStateMachine):
    """One key, two askers that hold some secret, and an operator. Answers may get lost on their way."""

    @initialize(overlap=st.sampled_from(OVERLAPS))
    def create_the_key(self, overlap):
        self.now = START
        self.overlap = overlap
        first = KeySecret(b"0", 0, START)
        self.key = ApiKey("k", "k", "k", "", "production", None, None, (), START, secrets=(first,))
        self.held = [first, first]  # the secret that each asker was told of last
        self.newest = first  # the newest one that anybody was told of
        self.until: dict[int, int] = {}  # for each secret that was replaced: the end of its overlap

    def store(self, made: MakeNext) -> KeySecret:
        assert not {each.n for each in made.keep} & {each.n for each in made.drop}
        assert made.n > max(each.n for each in self.key.secrets)
        fresh = KeySecret(str(made.n).encode(), made.n, self.now, seed=b"seed", overlap=self.overlap)
        if made.at_once:
            fresh = fresh._replace(first_used_at=self.now)
        self.key = self.key._replace(secrets=(*made.keep, fresh))
        return fresh

    def proves(self, secret: KeySecret) -> bool:
        return still_proves(self.key, secret, self.now)

    @rule(asker=st.integers(0, 1), lost=st.booleans())
    def an_asker_rotates_its_own_secret(self, asker, lost):
        presented = next((each for each in self.key.secrets if each.digest == self.held[asker].digest), None)
        if presented is None:
            return
        waiting_before = self.waiting()
        match decide_rotation(self.key, self.now, presented):
            case MakeNext() as made:
                if waiting_before is not None and waiting_before.n == presented.n:
                    self.note_use(presented)
                answer = self.store(made)
            case SameAgain(answer):
                assert answer.n > presented.n
            case TwoAlive(ends_at):
                assert ends_at > self.now
                return
            case _:
                assert not self.proves(presented)
                return
        self.told(answer, asker, lost=lost)

    @rule(asker=st.integers(0, 1), lost=st.booleans(), at_once=st.booleans())
    def the_operator_rotates(self, asker, lost, at_once):
        decision = (decide_rotation_at_once if at_once else decide_rotation)(self.key, self.now)
        if not isinstance(decision, MakeNext):
            assert isinstance(decision, TwoAlive)
            return
        if at_once:
            self.until = {each.n: 0 for each in self.key.secrets}
            self.newest = None
        fresh = self.store(decision)
        # What nobody used is nobody's any more. Nor is what the operator replaces: he has the new one.
        self.told(fresh, asker, lost=lost and not at_once)

    @rule(asker=st.integers(0, 1))
    def an_asker_uses_its_secret(self, asker):
        if self.proves(self.held[asker]):
            self.note_use(self.held[asker])

    @rule(step=STEPS)
    def the_clock_moves(self, step):
        self.now = max(START, self.now + step)

    def waiting(self):
        endless = [each for each in self.key.secrets if each.ends_at is None]
        return endless[-1] if len(endless) > 1 else None

    def note_use(self, secret: KeySecret) -> None:
        waiting = self.waiting()
        used = first_use(self.key, secret, self.now)
        assert (used is not None) == (waiting is not None and waiting.n == secret.n)
        if used is not None:
            for each in self.key.secrets:
                if each.ends_at is None and each.n != secret.n:
                    self.until[each.n] = self.now + self.overlap
            self.key = self.key._replace(secrets=used)
            assert first_use(self.key, secret, self.now) is None

    def told(self, secret: KeySecret, asker: int, *, lost: bool) -> None:
        """An asker has its answer, and installs it. An operator's answer replaces every unused one before it."""
        if not lost:
            self.held[asker] = secret
            self.newest = secret
        elif self.newest is not None and not any(each.digest == self.newest.digest for each in self.key.secrets):
            # The lost answer replaced one that was told and never used. The caller who asked for that asks again.
            self.newest = None
        for other, held in enumerate(self.held):
            if not any(each.digest == held.digest for each in self.key.secrets):
                self.held[other] = self.newest or self.key.secrets[-1]

    @invariant()
    def the_holder_of_the_newest_answered_secret_is_never_refused(self):
        assert self.newest is None or self.proves(self.newest)

    @invariant()
    def an_old_secret_is_good_until_its_first_use_and_the_overlap_are_over(self):
        current = [each for each in self.key.secrets if each.ends_at is None]
        assert 1 <= len(current) <= 2
        for n, until in self.until.items():
            old = next((each for each in self.key.secrets if each.n == n), None)
            if old is not None and len(self.alive()) == 1 and self.now >= until:
                assert not self.proves(old)
            if old is not None and old.ends_at:
                assert self.proves(old) == (self.now < until)

    @invariant()
    def at_most_two_secrets_are_alive(self):
        assert 1 <= len(self.alive()) <= 2

    def alive(self):
        return [each for each in self.key.secrets if is_alive(each, self.now)]


def test_no_holder_of_a_good_secret_is_ever_refused():
    run_state_machine_as_test(RotationMachine, settings=settings(max_examples=300, stateful_step_count=40))
