"""The bench of lists asks every question of a small database, and its narrowed searches cost less than judging all."""

from bench.lists import measure


def test_a_narrowed_search_costs_a_fraction_of_judging_every_key(tmp_path):
    """At this size. Among 100,000 keys it is a fiftieth."""
    costs = measure(f"sqlite:{tmp_path}/hourpass.db", tmp_path, keys=3_000, grants=3_000, audit=1_000, nodes=1)

    for name in ("a key by its external id", "keys by a text, none of them", "how many keys are in each state"):
        assert costs[name] < costs["every key judged, as before"] / 5
