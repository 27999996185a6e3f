"""Which lines of the audit trail an investigation wants."""

import pytest

from hourpass.core.audit_filter import AuditFilter

LINE = {"at": 1_000, "event": "key_revoked", "key_id": "key1", "grant_id": None}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (AuditFilter(), True),
        (AuditFilter(key_id="key1"), True),
        (AuditFilter(key_id="key2"), False),
        (AuditFilter(grant_id="aa"), False),
        (AuditFilter(event="key_revoked"), True),
        (AuditFilter(event="key_created"), False),
        (AuditFilter(since=1_000), True),
        (AuditFilter(since=1_001), False),
        (AuditFilter(until=1_001), True),
        (AuditFilter(until=1_000), False),
        (AuditFilter("key1", "", "key_revoked", 1_000, 1_001), True),
    ],
)
def test_all_conditions_must_hold_and_the_time_is_half_open(wanted, taken):
    assert wanted.takes(**LINE) == taken
