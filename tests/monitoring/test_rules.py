"""deploy/monitoring's rules, with Prometheus' own tool: each alert fires when it should, not before, and clears."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from tests.debian import program
from tests.monitoring.prometheus import SHIPPED

ROOT = Path(__file__).parents[2]
RULES = [SHIPPED / "alerts.yml", SHIPPED / "recording.yml"]
NODE = 'job="hourpass", instance="a:3601"'
DAY = 86_400
NEVER = -1


class Case(NamedTuple):
    """Values of series, one each 15 s, and whether the alert fires after so many minutes."""

    alert: str
    series: dict[str, str]
    quiet_at: float
    fires_at: float
    clear_at: float


def counted(name: str, labels: str = "", step: int = 1) -> dict[str, str]:
    """A counter that does not move for 5 minutes, then goes up by `step`, and stays."""
    return {f"{name}{{{NODE}{labels}}}": f"0x20 {step}x100"}


def level(name: str, good: str, bad: str, labels: str = "") -> dict[str, str]:
    """A gauge that is good for 5 minutes, bad for 10, and good again."""
    return {f"{name}{{{NODE}{labels}}}": f"{good}x20 {bad}x40 {good}x60"}


def failing(kind: str) -> dict[str, str]:
    check = level("hourpass_check_ok", "1", "0", ', check="database"')
    return check | {f'hourpass_store_errors_total{{{NODE}, kind="{kind}"}}': "0x20 1+1x39 40x60"}


def slow(name: str, bound: str, labels: str = "") -> dict[str, str]:
    """Ten a second: for 5 minutes all in the bucket, for 10 minutes none, and then all again."""
    in_time = "0+150x20 3000x40 3000+150x60"
    return {
        f'{name}_bucket{{{NODE}{labels}, le="{bound}"}}': in_time,
        f'{name}_bucket{{{NODE}{labels}, le="5"}}': "0+150x121",
        f'{name}_bucket{{{NODE}{labels}, le="+Inf"}}': "0+150x121",
    }


def unavailable(route: str, step: int) -> dict[str, str]:
    """Ten requests a second, and for ten minutes `step` in 15 s that get 503."""
    series = f'hourpass_requests_total{{{NODE}, route="{route}"'
    return {
        f'{series}, outcome="ok"}}': "0+150x120",
        f'{series}, outcome="unavailable"}}': f"0x20 0+{step}x40 {40 * step}x60",
    }


ONE_OF_TWO = {
    f'hourpass_requests_total{{{NODE}, route="/auth/refresh", outcome="ok"}}': "0x20 1x100",
    f'hourpass_requests_total{{{NODE}, route="/auth/refresh", outcome="unavailable"}}': "0x20 1x100",
}


CASES = [
    Case("HourpassDown", level("up", "1", "0"), 5.5, 7, 16),
    Case("HourpassNotReady", level("hourpass_check_ok", "1", "0", ', check="clock"'), 6.5, 8, 16),
    Case("HourpassWorkerEnded", counted("hourpass_worker_ends_total"), 5, 6, 16),
    Case(
        "HourpassWorkerMissing",
        level("hourpass_workers_answering", "4", "3") | level("hourpass_workers", "4", "4"),
        5.5,
        7,
        16,
    ),
    Case("HourpassClockWrong", level("hourpass_clock_offset_seconds", "0.5", "-30"), 5.5, 7, 16),
    Case("HourpassClockWrong", level("hourpass_clock_offset_seconds", "-1.9", "2.1"), 5.5, 7, 16),
    Case("HourpassStalled", counted("hourpass_stalls_total"), 5, 6, 11),
    Case(
        "HourpassFewDescriptors",
        level("process_open_fds", "800", "900") | level("process_max_fds", "1000", "1000"),
        5.5,
        7,
        16,
    ),
    Case("HourpassConnectionsFull", counted("hourpass_connections_refused_total", ', kind="too_many"'), 5, 6, 11),
    Case("HourpassConnectionsFull", counted("hourpass_connections_refused_total", ', kind="slow"'), 5, NEVER, 11),
    Case("HourpassLogLinesDropped", counted("hourpass_log_lines_dropped_total"), 5, 6, 11),
    Case("HourpassDiskFull", failing("full"), 5, 6, 16),
    Case("HourpassDiskFull", failing("unreachable"), 5, NEVER, 16),
    Case("HourpassDiskAlmostFull", level("hourpass_data_free_bytes", "9e9", "1e6"), 5.5, 7, 16),
    Case("HourpassDatabaseAway", failing("unreachable"), 5, 6, 16),
    Case("HourpassDatabaseAway", failing("full"), 5, NEVER, 16),
    Case("HourpassFeedStale", level("hourpass_revocations_age_seconds", "0.3", "20"), 5, 6, 16),
    Case("HourpassAuditUnchained", level("hourpass_audit_unchained_seconds", "0.9", "20"), 5, 6, 16),
    Case("HourpassAuditBroken", level("hourpass_audit_broken", "0", "1"), 5, 6, 16),
    Case("HourpassWebhookFailing", level("hourpass_webhooks", "0", "1", ', state="failing"'), 14, NEVER, 16),
    Case(
        "HourpassWebhookFailing",
        {f'hourpass_webhooks{{{NODE}, state="failing"}}': "0x20 1x80 0x20"},
        19.5,
        21,
        26,
    ),
    Case("HourpassWebhookGivenUp", level("hourpass_webhooks", "0", "1", ', state="given_up"'), 5.5, 7, 16),
    Case("HourpassWebhookGivenUp", level("hourpass_webhooks", "0", "1", ', state="disabled"'), 5.5, NEVER, 16),
    Case("HourpassQueueGrows", slow("hourpass_ledger_queue_seconds", "0.1"), 9, 12, 26),
    Case(
        "HourpassSlow",
        slow("hourpass_request_duration_seconds", "0.25", ', route="/auth/refresh"'),
        9,
        12,
        26,
    ),
    Case(
        "HourpassSlow",  # polls of the feed wait on purpose
        slow("hourpass_request_duration_seconds", "0.25", ', route="/auth/revocations"'),
        9,
        NEVER,
        26,
    ),
    Case("HourpassUnavailable", unavailable("/auth/refresh", 5), 6, 10, 26),
    Case("HourpassUnavailable", unavailable("/auth/refresh", 1), 6, NEVER, 26),
    Case("HourpassUnavailable", unavailable("/health/ready", 5), 6, NEVER, 26),
    Case("HourpassUnavailable", ONE_OF_TWO, 6, NEVER, 26),
    Case("HourpassFailed", counted("hourpass_failures_total"), 5, 6, 11),
    Case("HourpassReplay", counted("hourpass_refreshes_total", ', outcome="replayed"'), 5, 6, 16),
    Case("HourpassReplay", counted("hourpass_refreshes_total", ', outcome="retry"'), 5, NEVER, 16),
    Case("HourpassAhead", counted("hourpass_refreshes_total", ', outcome="ahead"'), 5, 6, 16),
    Case("HourpassKeyLeaked", counted("hourpass_leaks_reported_total"), 5, 6, 16),
    Case("HourpassLeakedKeyUsed", counted("hourpass_keys_refused_total", ', reason="rotated"'), 5, 6, 16),
    Case("HourpassLeakedKeyUsed", counted("hourpass_keys_refused_total", ', reason="expired"'), 5, NEVER, 16),
    Case("HourpassEndedKeyUsed", counted("hourpass_keys_refused_total", ', reason="expired"'), 5, 6, 16),
    Case("HourpassWrongKeys", counted("hourpass_credentials_refused_total", "", 200), 5, 6, 11),
    Case("HourpassWrongKeys", counted("hourpass_credentials_refused_total", "", 50), 5, NEVER, 11),
    Case("HourpassRawKeyUsed", counted("hourpass_credentials_accepted_total", ', kind="api_key"'), 5, 6, 16),
    Case("HourpassRawKeyUsed", counted("hourpass_credentials_accepted_total", ', kind="bearer"'), 5, NEVER, 16),
    Case(
        "HourpassRawKeyRefused",
        counted("hourpass_forward_auth_refused_total", ', reason="exchange_required"'),
        5,
        6,
        16,
    ),
    # The tool's time begins at the epoch, and it cannot read +Inf.
    Case(
        "HourpassSigningKeyEnds",
        level("hourpass_signing_key_until_timestamp_seconds", "9e18", str(6 * DAY)),
        5.5,
        7,
        16,
    ),
    Case(
        "HourpassSigningKeyEnds",
        level("hourpass_signing_key_until_timestamp_seconds", "9e18", str(8 * DAY)),
        5.5,
        NEVER,
        16,
    ),
    Case(
        "HourpassSigningKeyOld",
        level("hourpass_signing_key_since_timestamp_seconds", "0", str(-401 * DAY)),
        5.5,
        7,
        16,
    ),
]


@pytest.fixture(scope="module")
def promtool():
    return program("promtool", "prometheus")


@pytest.fixture(scope="module")
def alerts():
    """The shipped alerts by their names."""
    groups = yaml.safe_load((SHIPPED / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def checked(*command: object) -> None:
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_the_configuration_and_the_rules(promtool):
    checked(promtool, "check", "rules", "--lint-fatal", *RULES)
    checked(promtool, "check", "config", "--lint-fatal", SHIPPED / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_clears(promtool, tmp_path):
    tests = [
        {
            "name": f"{number}: {case.alert}",
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})',
                    "eval_time": f"{int(minutes * 60)}s",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
                for minutes, fires in ((case.quiet_at, False), (case.fires_at, True), (case.clear_at, False))
                if minutes != NEVER
            ]
            + ([_silence(case.alert)] if case.fires_at == NEVER else []),
        }
        for number, case in enumerate(CASES)
    ]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(each) for each in RULES], "evaluation_interval": "15s"}))
    path.write_text(path.read_text() + yaml.safe_dump({"tests": tests}))

    checked(promtool, "test", "rules", path)


def _silence(alert: str) -> dict[str, object]:
    expression = f'count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[30m])'
    return {"expr": expression, "eval_time": "28m", "exp_samples": []}


def test_every_alert_is_among_these_cases(alerts):
    assert alerts.keys() == {case.alert for case in CASES if case.fires_at != NEVER}


def test_every_alert_says_how_bad_it_is_in_a_sentence_and_leads_to_a_page_that_names_it(alerts):
    for name, rule in alerts.items():
        assert name.startswith("Hourpass")
        assert re.fullmatch(r"\d+[sm]", rule["for"]), name
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert re.fullmatch(r".{20,200}\.", rule["annotations"]["summary"]), name
        page = ROOT / rule["annotations"]["runbook_url"]
        assert page.parent == ROOT / "docs" / "runbooks"
        assert f"`{name}`" in page.read_text("utf-8"), f"{page.name} does not name {name}"
