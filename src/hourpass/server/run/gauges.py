"""What a node shows of itself from time to time: each gauge by its name, with whom to ask."""

import math
import shutil
from collections.abc import Callable

from hourpass.core.policy import SECOND
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.issuing.audit_chaining import AuditChaining
from hourpass.server.issuing.storage_checks import StorageChecks
from hourpass.server.issuing.verification import Verification
from hourpass.server.ledger.absences import UNSEEN
from hourpass.server.ledger.ledger import Ledger
from hourpass.server.settings.settings import Settings
from hourpass.server.webhooks.deliverer import Deliverer


def gauges(
    settings: Settings,
    time: Timekeeper,
    ledger: Ledger,
    verification: Verification,
    storage_checks: StorageChecks,
    audit_chaining: AuditChaining,
) -> dict[str, Callable[[], float]]:
    """None of these asks the database, and none waits."""
    clock = time.clock
    return {
        "audit_behind": lambda: audit_chaining.behind,
        "check_clock": lambda: time.readiness() == "ok",
        "check_database": lambda: ledger.is_good and verification.age <= UNSEEN,
        "check_migrations": lambda: not storage_checks.pending,
        "check_signing_key": lambda: verification.readiness(clock())["signing_key"] == "ok",
        "check_revocations": lambda: verification.readiness(clock())["revocations"] == "ok",
        "clock_offset": lambda: time.offset / SECOND,
        "data_free": lambda: _free(settings.data),
        "feed_age": lambda: verification.age / SECOND,
        "in_force": lambda: verification.in_force,
        "polls": lambda: verification.polls,
        "signing_keys_published": lambda: verification.signing_keys.in_state("published", clock()),
        "signing_keys_signing": lambda: verification.signing_keys.in_state("signing", clock()),
        "signing_keys_verify_only": lambda: verification.signing_keys.in_state("verify_only", clock()),
        "signs_since": lambda: _seconds(verification.signing_keys.signs_since(clock()), math.nan),
        "signs_until": lambda: _seconds(verification.signing_keys.signs_until(clock()), math.inf),
        "waiting": lambda: ledger.waiting,
    }


def webhook_gauges(webhooks: Deliverer) -> dict[str, Callable[[], float]]:
    """What the node that delivers shows of the webhooks."""
    return {
        "webhooks_ok": lambda: webhooks.count("ok"),
        "webhooks_failing": lambda: webhooks.count("failing"),
        "webhooks_given_up": lambda: webhooks.count("given_up"),
        "webhooks_disabled": lambda: webhooks.count("disabled"),
        "webhook_lag": lambda: webhooks.lag,
    }


def _free(folder: str) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # somebody took it away
        return math.nan


def _seconds(instant: int | None, otherwise: float) -> float:
    return otherwise if instant is None else instant / SECOND
