"""Every store finds the same lines of the audit trail as the rule does."""

import pytest
from tests.contract.conftest import NOW

from hourpass.core import audit
from hourpass.core.audit import Actor
from hourpass.core.audit_filter import AuditFilter

EVENTS = [
    audit.KeyCreated("key1", "x", Actor("me")),
    audit.GrantRevoked("aa", "key1", "revoked", Actor("me")),
    audit.KeyRevoked("key1", "leaked", Actor("me")),
    audit.KeyRevoked("key2", "revoked", Actor("me")),
    audit.SigningKeyWithdrawn("kid", None, Actor("me")),
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

    lines = store.audit_after(0, 100)
    taken = [each for each in lines if wanted.takes(each.at, each.event, key_id=each.key_id, grant_id=each.grant_id)]
    assert store.newest_audit(wanted, limit) == taken[-limit:]
