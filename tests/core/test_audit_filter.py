"""Which lines of the audit trail an investigation wants."""

import pytest

from hourpass.core.audit_filter import AuditFilter, require_reached
from hourpass.core.errors import AheadOfTrail

LINE = {"at": 1_000, "event": "key.revoked", "key_id": "key1", "grant_id": None, "actor": "cli:ada@desk"}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (AuditFilter(), True),
        (AuditFilter(key_id="key1"), True),
        (AuditFilter(key_id="key2"), False),
        (AuditFilter(grant_id="aa"), False),
        (AuditFilter(event="key.revoked"), True),
        (AuditFilter(event="key.created"), False),
        (AuditFilter(event="key_revoked"), True),
        (AuditFilter(event="key_created"), False),
        (AuditFilter(actor="cli:"), True),
        (AuditFilter(actor="cli:ada@desk"), True),
        (AuditFilter(actor="ada"), False),
        (AuditFilter(since=1_000), True),
        (AuditFilter(since=1_001), False),
        (AuditFilter(until=1_001), True),
        (AuditFilter(until=1_000), False),
        (AuditFilter("key1", "", "key.revoked", 1_000, 1_001), True),
    ],
)
def test_all_conditions_must_hold_and_the_time_is_half_open(wanted, taken):
    assert wanted.takes(**LINE) == taken


def test_a_line_without_an_actor_is_nobodys():
    line = LINE | {"actor": None}

    assert AuditFilter().takes(**line)
    assert not AuditFilter(actor="c").takes(**line)


def test_a_number_beyond_the_last_one_is_of_another_trail():
    require_reached(7, 7)
    with pytest.raises(AheadOfTrail, match="ends at line 7 and not at 8"):
        require_reached(8, 7)
