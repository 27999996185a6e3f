"""Following the revocation feed: what is believed, what a gap costs, and what becomes of tokens when nothing comes."""

from typing import Literal

import msgspec
import pytest

from hourpass.core.claims import Claims
from hourpass.core.policy import SECOND
from hourpass.jose import AccessClaims, SigningKeyPair, encode_segment
from hourpass.verifier import fail_closed, fail_open
from hourpass.verifier.jwks import JwkSet
from hourpass.verifier.revocations import (
    COALESCE,
    SHORTEST_TURN,
    Entry,
    Page,
    RevocationList,
    Staleness,
)
from hourpass.verifier.upkeep import AT_ONCE, NEVER, Answer

ISSUER = "https://auth.test"
PAIR = SigningKeyPair.generate("k1", "ES256")
STRANGER = SigningKeyPair.generate("k1", "ES256")
NOW = 1_000_000
WALL = 1_800_000_000_000
LATER = WALL // SECOND + 3_600
GRANT = Entry(1, "grant", "grant", LATER)


def page(*entries: Entry, **changes: object) -> Page:
    last = entries[-1].n if entries else 0
    return Page(
        **{"iss": ISSUER, "iat": WALL // SECOND, "epoch": 7, "after": 0, "last": last, "entries": list(entries)}
        | changes
    )


def signed(what: Page | object, pair: SigningKeyPair = PAIR) -> Answer:
    return Answer(200, {}, pair.sign_feed(msgspec.json.encode(what)))


def make(staleness: Staleness) -> RevocationList:
    jwks = JwkSet("https://auth.test/jwks", lambda: 0.0)
    jwks.keys = {PAIR.header: PAIR.verification_key}
    return RevocationList("https://auth.test/auth/revocations", ISSUER, jwks, lambda: 0.0, staleness)


@pytest.fixture
def known():
    return make(fail_closed())


def poll(known: RevocationList, given: Answer, *, at: int = NOW, wall: int = WALL) -> str:
    """One poll that is answered at once, and the URL that it asked."""
    url = known.begin(at).url
    known.finish(given, at, wall)
    return url.removeprefix("https://auth.test/auth/revocations")


def claims(**changes: object) -> Claims:
    return Claims(
        **{"iss": ISSUER, "sub": "alice", "aud": "a", "exp": 2, "iat": WALL // SECOND, "jti": "token",
           "client_id": "key", "scope": "", "sid": "grant", "env": "production"} | changes
    )  # fmt: skip


def test_without_keys_nothing_is_asked_because_nothing_could_be_believed(known):
    assert known.due_at <= NOW
    known._jwks.keys = {}

    assert known.due_at == NEVER


def test_it_starts_with_the_snapshot_then_waits_for_what_comes_after(known):
    assert poll(known, signed(page(GRANT, Entry(5, "key", "key", LATER)))) == "?after=0&epoch=0&wait=0"
    assert known.begin(NOW).url.endswith("?after=5&epoch=7&wait=5")


@pytest.mark.parametrize(("budget", "wait"), [(2, 1), (3, 1), (10, 5), (60, 30), (300, 30)])
def test_it_hears_twice_within_the_budget_and_waits_no_longer_than_30_seconds(budget, wait):
    known = make(fail_closed(budget=budget))
    poll(known, signed(page()))

    assert known.begin(NOW).url.endswith(f"&wait={wait}")


@pytest.mark.parametrize(
    "entry",
    [
        GRANT,
        Entry(1, "key", "key", LATER),
        Entry(1, "token", "token", LATER),
        Entry(1, "issued_before", str(WALL), LATER),
    ],
    ids=lambda entry: entry.kind,
)
def test_every_level_refuses(known, entry):
    poll(known, signed(page(entry)))

    assert known.revocations.refuses(claims())


def test_a_cutoff_refuses_a_keys_tokens_from_before_its_second(known):
    poll(known, signed(page(cutoffs=[Entry(1, "key", "key", LATER, WALL // SECOND)], last=1)))

    assert known.revocations.refuses(claims(iat=WALL // SECOND - 1))
    assert not known.revocations.refuses(claims())


def test_a_verifier_that_knows_no_cutoffs_reads_a_page_that_has_one():
    class OldEntry(msgspec.Struct):
        n: int
        kind: Literal["grant", "key", "token", "issued_before"]
        value: str
        until: int

    class OldPage(msgspec.Struct):
        iss: str
        iat: int
        epoch: int
        after: int
        last: int
        entries: list[OldEntry]
        more: bool = False

    sent = page(GRANT, cutoffs=[Entry(2, "key", "key", LATER, WALL // SECOND)], last=2)

    read = msgspec.json.decode(msgspec.json.encode(sent), type=OldPage)

    assert [entry.kind for entry in read.entries] == ["grant"]
    assert read.last == 2


def test_an_entry_that_is_over_is_not_kept(known):
    poll(known, signed(page(Entry(1, "grant", "grant", WALL // SECOND))))

    assert len(known.revocations) == 0


def test_an_entry_is_forgotten_once_it_is_over(known):
    poll(known, signed(page(GRANT)))
    poll(known, signed(page(after=1, last=1, iat=LATER)), at=NOW + 3_600 * SECOND, wall=LATER * SECOND)

    assert len(known.revocations) == 0


def test_pages_are_asked_for_at_once_until_the_last(known):
    poll(known, signed(page(GRANT, more=True)))
    assert known.state(NOW) == "fail-closed"
    assert known.due_at <= NOW + COALESCE

    assert poll(known, signed(page(Entry(2, "key", "key", LATER), after=1))) == "?after=1&epoch=7&wait=0"
    assert known.state(NOW) == "fresh"


def test_an_issuer_that_lets_nobody_wait_is_not_hammered(known):
    poll(known, signed(page()))
    poll(known, signed(page(iat=WALL // SECOND + 1)))

    assert known.due_at == NOW + SHORTEST_TURN


# --- What is believed.

FORGED = {
    "a stranger's signature": signed(page(GRANT), STRANGER),
    "an unknown key": signed(page(GRANT), SigningKeyPair.generate("k2", "ES256")),
    "an access token": Answer(
        200, {}, PAIR.mint(AccessClaims(ISSUER, "s", "a", 2, 1, "j", "k", "", "g", "production"))
    ),
    "no signature": Answer(200, {}, signed(page(GRANT)).body.rpartition(b".")[0] + b"."),
    "a changed page": Answer(200, {}, signed(page(GRANT)).body.replace(b".e", b".f", 1)),
    "padding": Answer(200, {}, signed(page(GRANT)).body + b"="),
    "plain JSON": Answer(200, {}, msgspec.json.encode(page(GRANT))),
    "nothing": Answer(200, {}, b""),
    "another issuer's": signed(page(GRANT, iss="https://evil.test")),
    "no page": signed({"hello": 1}),
    "an odd kind": signed({**msgspec.to_builtins(page()), "entries": [{"n": 1, "kind": "x", "value": "", "until": 1}]}),
    "a number that is text": signed({**msgspec.to_builtins(page()), "last": "1"}),
    "a recording of a minute ago": signed(page(GRANT, iat=WALL // SECOND - 61)),
    "one from the future": signed(page(GRANT, iat=WALL // SECOND + 61)),
    "a cutoff of another kind": signed(page(cutoffs=[Entry(1, "grant", "grant", LATER, WALL)], last=1)),
    "a cutoff without a second": signed(page(cutoffs=[Entry(1, "key", "key", LATER)], last=1)),
    "a second that is none": signed(page(Entry(1, "issued_before", "now", LATER))),
    "numbers that run backwards": signed(page(GRANT, after=3, last=1)),
    "a server error": Answer(503, {}, signed(page(GRANT)).body),
    "a redirect": Answer(302, {}, signed(page(GRANT)).body),
    "no answer": Answer(0, {}, b"", "ConnectError"),
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_an_answer_that_is_not_believed_changes_nothing_and_is_not_a_sign_of_life(known, forged):
    poll(known, forged)

    assert (len(known.revocations), known.state(NOW), known.failures) == (0, "fail-closed", 1)
    assert known.problem
    assert known.due_at == NOW + AT_ONCE


def test_an_unknown_key_of_the_feed_has_the_key_set_fetched(known):
    known._jwks.due_at = NEVER

    poll(known, signed(page(GRANT), SigningKeyPair.generate("k2", "ES256")))

    assert known._jwks.due_at == NOW


@pytest.mark.parametrize(
    "older",
    [page(GRANT), page(GRANT, epoch=6, after=5, last=9), page(GRANT, epoch=0, last=99)],
    ids=["a lower number", "a lower epoch", "no epoch"],
)
def test_a_feed_that_was_rolled_back_is_refused(known, older):
    poll(known, signed(page(GRANT, Entry(5, "key", "key", LATER))))

    poll(known, signed(older), at=NOW + 9_999)

    assert (known.failures, known.problem) == (1, "rolled back")
    assert known.state(NOW + 10_000) == "fail-closed"
    assert known.revocations.refuses(claims(sid="x"))


def test_the_same_answer_again_is_not_a_sign_of_life(known):
    """A recording that a proxy repeats would else hide every revocation that came after it."""
    poll(known, signed(page(GRANT)))

    poll(known, signed(page(GRANT)), at=NOW + 9_999)

    assert known.state(NOW + 10_000) == "fail-closed"


def test_a_new_epoch_starts_again_with_the_snapshot_and_forgets_nothing(known):
    """The issuer was restored from a backup, and starts its numbers again."""
    poll(known, signed(page(GRANT, Entry(50, "key", "key", LATER))))

    poll(known, signed(page(Entry(51, "token", "token", LATER), after=50, epoch=8)))
    assert poll(known, signed(page(Entry(2, "token", "token", LATER), epoch=8))) == "?after=0&epoch=8&wait=0"

    assert len(known.revocations) == 3
    assert known.state(NOW) == "fresh"
    assert known.begin(NOW).url.endswith("?after=2&epoch=8&wait=5")


def test_a_gap_costs_a_snapshot(known):
    poll(known, signed(page(GRANT)))

    poll(known, signed(page(Entry(9, "key", "key", LATER), after=8)))

    assert not known.revocations.refuses(claims(sid="x"))
    assert known.begin(NOW).url.endswith("?after=0&epoch=7&wait=0")


# --- What becomes of tokens.


@pytest.mark.parametrize(
    ("staleness", "after", "state"),
    [
        (fail_closed(), 9_999, "fresh"),
        (fail_closed(), 10_000, "fail-closed"),
        (fail_closed(budget=60), 59_999, "fresh"),
        (fail_open(until=300), 9_999, "fresh"),
        (fail_open(until=300), 10_000, "fail-open"),
        (fail_open(until=300), 299_999, "fail-open"),
        (fail_open(until=300), 300_000, "fail-closed"),
        (fail_open(until=1), 9_999, "fresh"),
        (fail_open(until=1), 10_000, "fail-closed"),
    ],
)
def test_past_the_budget_the_named_policy_holds(staleness, after, state):
    known = make(staleness)
    poll(known, signed(page()))

    assert known.state(NOW + after) == state
    assert (NOW + after < known.good_until) == (state != "fail-closed")


@pytest.mark.parametrize(("staleness", "state"), [(fail_closed(), "fail-closed"), (fail_open(until=300), "fail-open")])
def test_a_feed_that_was_never_heard_is_stale_from_the_start(staleness, state):
    known = make(staleness)
    known.start(NOW)

    assert known.state(NOW) == state
    assert known.state(NOW + 300_000) == "fail-closed"


def test_failures_are_retried_at_once_and_then_up_to_a_second_apart(known):
    now, pauses = NOW, []
    for _ in range(6):
        poll(known, FORGED["no answer"], at=now)
        pauses.append(known.due_at - now)
        now = known.due_at

    assert pauses == [50, 250, 500, 1_000, 1_000, 1_000]


def test_the_first_entry_encodes_with_the_contract_s_words():
    """contract.md, "Revocation feed". Encoded segments travel."""
    assert msgspec.json.encode(GRANT) == b'{"n":1,"kind":"grant","value":"grant","until":%d}' % LATER
    assert signed(page()).body.startswith(encode_segment(b'{"typ":"revocations+jwt","alg":"ES256","kid":"k1"}') + b".")


@pytest.mark.parametrize("budget", [2, 10, 60, 300])
def test_after_a_failure_the_next_poll_waits_for_no_news_with_any_budget(budget):
    known = make(fail_closed(budget=budget))
    poll(known, signed(page()))
    assert known.begin(NOW).patience == min(30, budget // 2) * SECOND

    poll(known, FORGED["no answer"])

    assert (known.begin(NOW).patience, known.begin(NOW).url) == (0, known.begin(NOW).again)


def test_in_a_hurry_a_poll_waits_for_no_news(known):
    poll(known, signed(page()))
    late = NOW + 10 * SECOND

    known.hurry(late - 1)
    assert known.begin(late).patience > 0

    known.hurry(late)
    assert (known.due_at <= late, known.begin(late).patience) == (True, 0)
