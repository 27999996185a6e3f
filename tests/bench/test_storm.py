"""The simulated storm: its server keeps the real limits, its client is the real one, and its picture is the newest."""

import json
import re
from pathlib import Path

import pytest
from bench.storm import (
    BUSY,
    CORE,
    GRANTED,
    LIFETIME,
    NO_ANSWER,
    OUTAGE,
    ROUND_TRIP,
    At401,
    BackingOff,
    Hourpass,
    Report,
    Server,
    end_of_trouble,
    simulate,
)
from bench.storm_plot import plot

from hourpass.client.credential import new_credential
from hourpass.core.policy import SECOND
from hourpass.server.ledger.ledger import QUEUE_LIMIT
from hourpass.server.transport.listener import BACKLOG

ROOT = Path(__file__).parents[2]
NO_OUTAGE = range(0)


def newest():
    """The results that were kept last."""
    return json.loads(max((ROOT / "bench" / "results").glob("storm-*.json")).read_text("utf-8"))


def reports(capacity):
    return [Report(**figures) for figures in newest()["capacity"][str(capacity)]]


def test_a_server_accepts_as_many_as_its_queue_holds_then_refuses_then_is_not_heard():
    server = Server(CORE, NO_OUTAGE)
    outcomes = [server.take(0)[0] for _ in range(QUEUE_LIMIT + BACKLOG + 1)]

    assert outcomes == [GRANTED] * QUEUE_LIMIT + [BUSY] * BACKLOG + [NO_ANSWER]


def test_a_server_hears_nothing_from_the_first_to_the_last_instant_of_an_outage():
    server = Server(CORE, range(100, 200))

    assert [server.take(now)[0] for now in (99, 100, 199, 200)] == [GRANTED, NO_ANSWER, NO_ANSWER, GRANTED]


def test_answers_come_at_the_servers_pace():
    server = Server(10, NO_OUTAGE)

    assert [server.take(0)[1] for _ in range(3)] == [100 + ROUND_TRIP, 200 + ROUND_TRIP, 300 + ROUND_TRIP]


def test_the_simulated_client_asks_when_the_real_one_would():
    client = Hourpass(lambda: 0.5)
    real = new_credential(access_token="", refresh_token=None, number=0, issued_at=7_000, lifetime=LIFETIME, jitter=0.5)

    assert client.granted(7_000) == real.soft
    assert client.useless_from == real.hard


def test_it_waits_as_long_as_the_server_asks_for_if_its_own_pause_is_shorter():
    client = Hourpass(lambda: 0.25)
    due = client.granted(0)

    assert client.failed(BUSY, due, due + 200) == due + 200 + BUSY.retry_after
    assert BUSY.retry_after == SECOND


def test_one_seed_makes_one_storm():
    assert simulate(Hourpass, 500, 5, 1) == simulate(Hourpass, 500, 5, 1)
    assert simulate(Hourpass, 500, 5, 1) != simulate(Hourpass, 500, 5, 2)


def test_an_outage_of_ten_minutes_costs_hourpass_clients_no_token_and_others_theirs():
    ours, others = simulate(Hourpass, 2_000, 200, 1), simulate(BackingOff, 2_000, 200, 1)

    assert ours.without_token == 0
    assert others.without_token > 60_000


def test_a_client_that_waits_before_asking_again_asks_less():
    assert simulate(BackingOff, 2_000, 200, 1).wasted < simulate(At401, 2_000, 200, 1).wasted / 3


@pytest.mark.parametrize(
    ("troubles", "after"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([(-5, -1)], 0, id="over before the end"),
        pytest.param([(-5, 3)], 3, id="one"),
        pytest.param([(2, 9), (-5, 3)], 9, id="overlapping"),
        pytest.param([(-5, 3), (3, 4)], 4, id="touching"),
        pytest.param([(-5, 3), (5, 9)], 3, id="a later one is another story"),
    ],
)
def test_all_are_fresh_when_no_refresh_is_overdue(troubles, after):
    end = OUTAGE.stop

    assert end_of_trouble([(end + since, end + until) for since, until in troubles]) == end + after


def test_the_picture_in_the_docs_is_drawn_from_the_newest_results():
    tight = min(map(int, newest()["capacity"]))
    drawn = plot(reports(tight), clients=newest()["clients"], capacity=tight, outage=OUTAGE)

    assert (ROOT / "docs" / "storm.svg").read_text("utf-8") == drawn


@pytest.mark.parametrize("capacity", newest()["capacity"])
def test_the_page_says_what_the_newest_results_say(capacity):
    page = (ROOT / "docs" / "explanation" / "scaling.md").read_text("utf-8")
    table = page.split("## After an outage")[1]
    told = re.findall(rf"^\| {int(capacity):,} \| (.+) \| (.+) \| (.+) \| (.+) \| (.+) \|$", table, re.MULTILINE)

    assert told == [
        (
            one.title,
            f"{one.peak:,}",
            "not in 2 h" if one.fresh_after is None else f"{one.fresh_after:,.0f} s",
            f"{one.without_token / 3600:,.1f}",
            f"{one.wasted:,}",
        )
        for one in reports(capacity)
    ]
