"""What a change takes away, or gives to an admin key."""

import pytest

from hourpass.core.narrowing import Rights, fewer_events, lost_scopes, lost_words, narrowed, widened

NOW = 1_800_000_000_000
OWNER, OPERATOR, AUDITOR = (Rights(admin=role) for role in ("owner", "operator", "auditor"))
ACME = Rights(admin="operator", subject_prefix="acme/", max_scope="a b")


@pytest.mark.parametrize(
    ("old", "new", "less"),
    [
        (Rights(scope="a b"), Rights(scope="b c"), ["scope"]),
        (Rights(scope="a b"), Rights(scope="c b a"), []),
        (Rights(audiences=["x", "y"]), Rights(audiences=["y"]), ["audiences"]),
        (Rights(), Rights(audiences=["x"]), ["audiences"]),
        (Rights(audiences=["x"]), Rights(), ["audiences"]),
        (Rights(audiences=["x"]), Rights(audiences=["y", "x"]), []),
        (Rights(), Rights(allowed_ips=["192.0.2.0/24"]), ["allowed_ips"]),
        (Rights(allowed_ips=["192.0.2.0/24"]), Rights(allowed_ips=["192.0.2.0/25"]), ["allowed_ips"]),
        (Rights(allowed_ips=["192.0.2.0/25"]), Rights(allowed_ips=["192.0.2.0/24"]), []),
        (Rights(allowed_ips=["192.0.2.0/25"]), Rights(), []),
        (Rights(allowed_ips=["192.0.2.1/32", "2001:db8::/32"]), Rights(allowed_ips=["192.0.2.1/32"]), ["allowed_ips"]),
        (Rights(), Rights(expires_at=NOW), ["expires_at"]),
        (Rights(expires_at=NOW), Rights(expires_at=NOW - 1), ["expires_at"]),
        (Rights(expires_at=NOW), Rights(expires_at=NOW), []),
        (Rights(expires_at=NOW), Rights(), []),
        (Rights(raw_until=NOW), Rights(raw_until=NOW - 1), ["raw_until"]),
        (Rights(self_rotation=True), Rights(), ["self_rotation"]),
        (Rights(), Rights(self_rotation=True), []),
        (OWNER, OPERATOR, ["admin"]),
        (OPERATOR, AUDITOR, ["admin"]),
        (AUDITOR, OWNER, []),
        (OPERATOR, ACME, ["admin", "subject_prefix", "max_scope"]),
        (ACME, OPERATOR, []),
        (ACME, ACME._replace(subject_prefix="acme/eu/"), ["subject_prefix"]),
        (ACME, ACME._replace(subject_prefix="other/"), ["subject_prefix"]),
        (ACME, ACME._replace(subject_prefix="ac"), []),
        (ACME, ACME._replace(max_scope="b"), ["max_scope"]),
        (ACME, ACME._replace(max_scope=""), ["max_scope"]),
        (ACME, ACME._replace(max_scope="c b a"), []),
    ],
)
def test_a_change_is_narrowing_by_each_member_that_allows_less(old, new, less):
    assert narrowed(old, new) == less


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [
        (AUDITOR, OPERATOR, ["admin"]),
        (OPERATOR, OWNER, ["admin"]),
        (OWNER, AUDITOR, []),
        (ACME, OPERATOR, ["admin", "subject_prefix", "max_scope"]),
        (OPERATOR, ACME, []),
        (ACME, ACME._replace(subject_prefix="ac"), ["subject_prefix"]),
        (ACME, ACME._replace(subject_prefix="acme/eu/"), []),
        (ACME, ACME._replace(subject_prefix="other/"), ["subject_prefix"]),
        (ACME, ACME._replace(max_scope="c a b"), ["max_scope"]),
        (ACME, ACME._replace(max_scope="a"), []),
        (OWNER, OWNER._replace(allowed_ips=["192.0.2.1"]), []),
        (OWNER._replace(expires_at=NOW), OWNER, []),
        (Rights(scope="a"), Rights(scope="a b"), []),
    ],
)
def test_an_admin_key_is_widened_by_each_member_that_gives_it_more_power(old, new, more):
    assert widened(old, new) == more


def test_what_is_lost_is_named():
    assert lost_words("c a b", "b") == ["a", "c"]
    assert lost_scopes(OWNER, OPERATOR) == ["admin:write", "signing-keys:write", "tokens:revoke-all"]
    assert lost_scopes(AUDITOR, OWNER) == []


@pytest.mark.parametrize(
    ("old", "new", "fewer"),
    [([], ["x"], True), (["x", "y"], ["x"], True), (["x"], ["x", "y"], False), (["x"], [], False), ([], [], False)],
)
def test_a_webhook_that_names_no_event_gets_all(old, new, fewer):
    assert fewer_events(old, new) is fewer
