"""Every store finds the same lines of the audit trail as the rule does."""

import pytest
from tests.contract.conftest import NOW

from hourpass.core import audit
from hourpass.core.audit_filter import AuditFilter

EVENTS = [
    audit.KeyCreated("key1", "x", "me"),
    audit.GrantRevoked("aa", "key1", "revoked", "me"),
    audit.KeyRevoked("key1", "leaked", "me"),
    audit.KeyRevoked("key2", "revoked", "me"),
    audit.SigningKeyWithdrawn("kid", None, "me"),
]


@pytest.mark.parametrize(
    "wanted",
    [
        AuditFilter(),
        AuditFilter(key_id="key1"),
        AuditFilter(grant_id="aa"),
        AuditFilter(event="key_revoked"),
        AuditFilter(key_id="key1", event="key_revoked"),
        AuditFilter(key_id="nobody' or '1'='1"),
        AuditFilter(since=NOW + 1, until=NOW + 3),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_newest_lines_that_are_wanted_come_oldest_first(store, wanted, limit):
    for number, event in enumerate(EVENTS):
        store.append_audit(NOW + number, [event])

    taken = [each for each in store.audit_after(0, 100) if wanted.takes(each.at, *each[2:5])]
    assert store.newest_audit(wanted, limit) == taken[-limit:]
