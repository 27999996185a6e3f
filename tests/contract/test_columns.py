"""Each column of a row holds the field of its name, in any order of the fields."""

import pytest
from tests.contract.conftest import NOW, make_grant, make_key

from hourpass.core.actor import Actor
from hourpass.core.api_key import KeySecret
from hourpass.core.audit_chain import Ends
from hourpass.core.grant_events import GrantsClosed
from hourpass.core.signing_key import SigningKey
from hourpass.server.store.sealed import StoredSigningKey
from hourpass.server.store.tables import TABLES

ACTOR = Actor("key:k1", "192.0.2.1", "r1")
API_KEY = make_key(
    subject="account-7",
    scope="a b",
    audience="https://api.example.com",
    retry_window=9_000,
    allowed_ips=("10.0.0.0/8", "2001:db8::/32"),
    created_at=NOW + 1,
    expires_at=NOW + 2,
    revoked_at=NOW + 3,
    revoked_why="exposed",
    disabled_at=NOW + 4,
    more_audiences=("https://b.example.com", "https://c.example.com"),
    claims=(("tenant", "acme"), ("seats", 5)),
    tags=(("team", "billing"), ("cost", "12")),
    access_token_lifetime=9_000,
    self_rotation=True,
    external_id="42",
    raw_until=NOW + 5,
    raw_until_set_at=NOW + 6,
    valid_from=NOW + 7,
    tokens_from=NOW + 8,
    secrets=(KeySecret(bytes(32), 3, NOW + 9, NOW + 10, NOW + 11, bytes(16), 7, "2"),),
)
GRANT = make_grant(
    generation=2,
    superseded=(NOW + 1, NOW),
    scope="a",
    created_at=NOW + 2,
    idle_expires_at=NOW + 3,
    expires_at=NOW + 4,
    revoked_at=NOW + 5,
    revoked_why="revoked",
    last_from=b"\x7f\0\0\1",
    opened_from=b"\x7f\0\0\2",
    audience="https://b.example.com",
)
SIGNING_KEY = StoredSigningKey(SigningKey("kid1", "ES256", NOW, NOW + 1, NOW + 2), b"sealed", "0123456789ab")

ENDS = Ends(NOW, 5, 2, b"anchor", 7, b"head", "kid", b"mac")


@pytest.mark.parametrize(
    ("table", "add", "fields"),
    [
        (
            "api_keys",
            lambda store: store.add_key(API_KEY),
            {
                **{name: value for name, value in API_KEY._asdict().items() if name != "secrets"},
                "allowed_ips": "10.0.0.0/8 2001:db8::/32",
                "more_audiences": "https://b.example.com https://c.example.com",
                "claims": '{"tenant":"acme","seats":5}',
                "tags": '{"team":"billing","cost":"12"}',
                "self_rotation": 1,
                "digest": API_KEY.secrets[0].digest,
            },
        ),
        (
            "key_secrets",
            lambda store: store.add_key(API_KEY),
            {**API_KEY.secrets[0]._asdict(), "key_id": API_KEY.key_id},
        ),
        (
            "grants",
            lambda store: store.add_grants([GRANT]),
            {**GRANT._asdict(), "superseded": (NOW + 1).to_bytes(8) + NOW.to_bytes(8)},
        ),
        (
            "signing_keys",
            lambda store: store.add_signing_key(SIGNING_KEY),
            {**SIGNING_KEY.key._asdict(), "sealed": SIGNING_KEY.sealed, "sealed_by": SIGNING_KEY.sealed_by},
        ),
        (
            "audit",
            lambda store: store.append_audit(NOW, [GrantsClosed("0aZkey000001", 3, ACTOR)]),
            {
                "n": 1,
                "at": NOW,
                "event": "grants.closed",
                "actor": "key:k1",
                "address": "192.0.2.1",
                "request_id": "r1",
                "key_id": "0aZkey000001",
                "grant_id": None,
                "detail": '{"closed":3}',
                "mac": None,
                "chained_at": None,
            },
        ),
        ("audit_chain", lambda store: store.save_audit_ends(ENDS), {"the_row": 1, **ENDS._asdict()}),
        (
            "revocations",
            lambda store: store.add_revocation("grant", "ab", NOW),
            {"n": 1, "kind": "grant", "value": "ab", "until": NOW, "issued_before": None},
        ),
    ],
)
def test_each_column_holds_the_field_of_its_name(store, table, add, fields):
    (columns,) = (each for each in TABLES if each.name == table)
    add(store)

    (row,) = store.rows_page(columns, columns.start, 2)

    assert dict(zip(columns.columns, row, strict=True)) == fields
