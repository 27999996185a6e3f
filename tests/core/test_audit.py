"""The audit trail's events: their names are stable, and none has room for a secret."""

import typing

import pytest

from hourpass.admin.audit_detail import told_detail
from hourpass.admin.shapes import AuditLine
from hourpass.core import audit, grant_events, key_events, server_events, webhook_events
from hourpass.core.actor import Actor
from hourpass.core.audit import LONGEST_VALUE, Event, Folded, in_bounds
from hourpass.core.event_names import event_name, name_before, name_now

EVENTS = typing.get_args(Event)
SPELLINGS = {
    key_events.KeyCreated: ("key.created", "key_created"),
    key_events.KeyImported: ("key.imported", "key_imported"),
    key_events.KeyLeaked: ("key.leaked", "key_leaked"),
    key_events.KeyUpdated: ("key.updated", "key_updated"),
    key_events.KeyTokensEnded: ("key.tokens_ended", "key_tokens_ended"),
    key_events.KeyDisabled: ("key.disabled", "key_disabled"),
    key_events.KeyEnabled: ("key.enabled", "key_enabled"),
    key_events.KeyRevoked: ("key.revoked", "key_revoked"),
    key_events.KeyRotated: ("key.rotated", "key_rotated"),
    key_events.KeyRevokedUsed: ("key.revoked_used", "key_revoked_used"),
    key_events.KeyRotatedUsed: ("key.rotated_used", "key_rotated_used"),
    key_events.KeyRawUsedAfterEnd: ("key.raw_used_after_end", "key_raw_used_after_end"),
    key_events.KeyExpiring: ("key.expiring", "key_expiring"),
    key_events.KeyExpired: ("key.expired", "key_expired"),
    Folded: ("folded", "folded"),
    server_events.StorageTrouble: ("storage.trouble", "storage_trouble"),
    server_events.StorageRecovered: ("storage.recovered", "storage_recovered"),
    grant_events.GrantRevoked: ("grant.revoked", "grant_revoked"),
    grant_events.GrantReplayed: ("grant.replayed", "refresh_replayed"),
    grant_events.GrantsClosed: ("grants.closed", "grants_closed"),
    grant_events.RefreshAhead: ("refresh.ahead", "refresh_ahead"),
    grant_events.RefreshRetriedElsewhere: ("refresh.retried_elsewhere", "refresh_retried_elsewhere"),
    grant_events.TokenRevoked: ("token.revoked", "token_revoked"),
    grant_events.TokensRevoked: ("tokens.revoked", "tokens_revoked"),
    server_events.Restored: ("restored", "restored"),
    server_events.SigningKeyPublished: ("signing_key.published", "signing_key_published"),
    server_events.SigningKeyWithdrawn: ("signing_key.withdrawn", "signing_key_withdrawn"),
    server_events.MasterKeyRotated: ("master_key.rotated", "master_key_rotated"),
    server_events.SecretRotated: ("secret.rotated", "secret_rotated"),
    server_events.SecretRetired: ("secret.retired", "secret_retired"),
    server_events.ConsoleSignedIn: ("console.signed_in", "console_signed_in"),
    server_events.ConsoleRefused: ("console.refused", "console_refused"),
    server_events.ConsoleSignedOut: ("console.signed_out", "console_signed_out"),
    webhook_events.WebhookCreated: ("webhook.created", "webhook_created"),
    webhook_events.WebhookUpdated: ("webhook.updated", "webhook_updated"),
    webhook_events.WebhookRotated: ("webhook.rotated", "webhook_rotated"),
    webhook_events.WebhookDisabled: ("webhook.disabled", "webhook_disabled"),
    webhook_events.WebhookEnabled: ("webhook.enabled", "webhook_enabled"),
    webhook_events.WebhookDeleted: ("webhook.deleted", "webhook_deleted"),
}
"""The name of each event, and how it was spelt before the names had dots."""


@pytest.mark.parametrize("event", EVENTS)
def test_the_name_of_an_event_never_changes_and_the_old_spelling_is_known(event):
    """The names are in people's alerts: a renamed type must not rename them unnoticed."""
    now, before = SPELLINGS[event]

    assert event_name(event._make(event._fields)) == now
    assert (name_now(now), name_now(before), name_before(now)) == (now, now, before)


def test_an_event_that_only_a_newer_program_knows_keeps_its_name():
    assert name_now("moon.risen") == name_before("moon.risen") == "moon.risen"


def test_every_type_of_the_modules_is_an_event():
    modules = (audit, grant_events, key_events, server_events, webhook_events)
    members = [member for module in modules for member in vars(module).values()]
    types = {member for member in members if isinstance(member, type) and hasattr(member, "_fields")}

    assert types - {Actor} == set(EVENTS) == set(SPELLINGS)


@pytest.mark.parametrize("event", EVENTS)
def test_no_event_has_a_member_for_a_secret(event):
    forbidden = ("token", "secret", "digest", "seed", "api_key")

    assert not [name for name in event._fields if any(word in name for word in forbidden)]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_an_actor_whose_address_is_not_beside_it(event):
    assert event.__annotations__["actor"] is Actor
    assert not {"address", "request_id"} & set(event._fields)


@pytest.mark.parametrize("event", EVENTS)
def test_no_member_of_an_event_is_told_by_the_name_of_one_that_every_line_has(event):
    """Text, JSON and exports put them side by side: one would overwrite the other."""
    own = set(AuditLine.__struct_fields__) - {"key_id", "grant_id", "actor"}

    assert not own & told_detail(dict.fromkeys(event._fields, 1)).keys()


@pytest.mark.parametrize("length", [LONGEST_VALUE - 1, LONGEST_VALUE])
def test_a_value_that_is_not_too_long_is_kept_as_it_is(length):
    assert in_bounds("value", b"x" * length) == "value"


def test_a_longer_value_is_cut_and_says_how_long_it_was():
    """Also in the middle of a letter of several bytes."""
    written = b"x" * (LONGEST_VALUE - 1) + "ü".encode()

    assert in_bounds(["value"], written) == "x" * (LONGEST_VALUE - 1) + "… (cut, 1,101 bytes)"
