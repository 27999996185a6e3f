"""The audit trail's events: their names are stable, and none has room for a secret."""

import typing

import pytest

from hourpass.core import audit

EVENTS = typing.get_args(audit.Event)
NAMES = {
    audit.KeyCreated: "key_created",
    audit.KeyImported: "key_imported",
    audit.KeyLeaked: "key_leaked",
    audit.KeyUpdated: "key_updated",
    audit.KeyTokensEnded: "key_tokens_ended",
    audit.KeyDisabled: "key_disabled",
    audit.KeyEnabled: "key_enabled",
    audit.KeyRevoked: "key_revoked",
    audit.KeyRotated: "key_rotated",
    audit.KeyRotatedUsed: "key_rotated_used",
    audit.GrantRevoked: "grant_revoked",
    audit.RefreshReplayed: "refresh_replayed",
    audit.RefreshAhead: "refresh_ahead",
    audit.GrantsClosed: "grants_closed",
    audit.TokenRevoked: "token_revoked",
    audit.TokensRevoked: "tokens_revoked",
    audit.Restored: "restored",
    audit.RefreshRetriedElsewhere: "refresh_retried_elsewhere",
    audit.SigningKeyPublished: "signing_key_published",
    audit.SigningKeyWithdrawn: "signing_key_withdrawn",
    audit.MasterKeyRotated: "master_key_rotated",
    audit.SecretRotated: "secret_rotated",
    audit.SecretRetired: "secret_retired",
}


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_named_in_the_trail_as_in_the_code(event):
    """The names are in people's alerts: a renamed type must not rename them unnoticed."""
    assert audit.event_name(event(*range(len(event._fields)))) == NAMES[event]


def test_every_type_of_the_module_is_an_event():
    types = {member for member in vars(audit).values() if isinstance(member, type) and hasattr(member, "_fields")}

    assert types - {audit.Actor} == set(EVENTS) == set(NAMES)


@pytest.mark.parametrize("event", EVENTS)
def test_no_event_has_a_member_for_a_secret(event):
    forbidden = ("token", "secret", "digest", "seed", "api_key")

    assert not [name for name in event._fields if any(word in name for word in forbidden)]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_an_actor_whose_address_is_not_beside_it(event):
    assert event.__annotations__["actor"] is audit.Actor
    assert not {"address", "request_id"} & set(event._fields)
