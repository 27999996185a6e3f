"""The agent's metrics, in Prometheus' text format.

Reads counters that other modules keep, and keeps none. No label holds a secret: a sink is named by its path.
"""

from hourpass.client.agent.agent import Agent
from hourpass.core.policy import SECOND


def metrics(agent: Agent) -> str:
    """All metrics of the agent now."""
    source = agent.source
    counts, current, now = source.counts, source.current, source.now()
    is_valid = current is not None and current.is_usable(now)
    expires_at = 0 if current is None else source.expires_at(current) // SECOND
    groups: list[tuple[str, str, str, list[tuple[str, int]]]] = [
        ("token_valid", "gauge", "1 while there is a valid token.", [("", int(is_valid))]),
        ("token_expires_at_seconds", "gauge", "When the newest token expires, epoch seconds.", [("", expires_at)]),
        (
            "refreshes_total",
            "counter",
            "How refreshes ended. After a refused one, an exchange may have helped.",
            [(f'{{result="{result}"}}', counts[result]) for result in ("refreshed", "adopted", "refused", "failed")],
        ),
        ("exchanges_total", "counter", "Exchanges of the API key.", [("", counts["exchanged"])]),
        ("consecutive_failures", "gauge", "Refreshes that failed since the last success.", [("", agent.failures)]),
        (
            "sink_writes_total",
            "counter",
            "Writes of sinks.",
            [
                (f'{{sink="{_escape(path)}",result="{result}"}}', count)
                for (path, result), count in sorted(agent.delivery.sink_writes.items())
            ],
        ),
        (
            "hooks_total",
            "counter",
            "How hooks ended.",
            [
                (f'{{result="{result}"}}', agent.delivery.plan.hooks.counts[result])
                for result in ("done", "failed", "timed_out")
            ],
        ),
        ("breaker_open", "gauge", "1 while 401s cause no refresh.", [("", int(not source.breaker.allows(now)))]),
    ]
    lines: list[str] = []
    for name, kind, words, samples in groups:
        lines += (f"# HELP hourpass_agent_{name} {words}", f"# TYPE hourpass_agent_{name} {kind}")
        lines += (f"hourpass_agent_{name}{labels} {value}" for labels, value in samples)
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
