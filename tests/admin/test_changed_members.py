"""What the audit trail says of a changed key: each member that can be set, as it was and as it is."""

import msgspec
import pytest
from tests.contract.conftest import NOW, make_key

from hourpass.admin.audit_detail import told_detail
from hourpass.admin.shapes import KeyMembers
from hourpass.core.actor import Actor
from hourpass.core.api_key import KeySecret
from hourpass.core.key_members import EDITABLE, fields
from hourpass.server.admin.key_shapes import key_shape
from hourpass.server.keys.editing import change_of

VALUES = {
    "name": ("old", "new"),
    "scope": ("a", "a b"),
    "audiences": (("p", "q"), ("p", "r")),
    "allowed_ips": ((), ("192.0.2.0/24",)),
    "claims": ({}, {"seats": 5}),
    "tags": ({"team": "x"}, {}),
    "expires_at": (None, NOW + 1_000),
    "raw_until": (NOW + 1_000, None),
    "retry_window": (None, 0),
    "access_token_lifetime": (600_000, None),
    "self_rotation": (False, True),
    "admin": ("auditor", "operator"),
    "subject_prefix": ("acme/", None),
    "max_scope": (None, "a"),
}
"""Two values of each member, in the units of the core."""


def test_every_member_that_can_be_set_is_known_here():
    assert VALUES.keys() == EDITABLE == set(KeyMembers.__struct_fields__)


@pytest.mark.parametrize("name", VALUES)
def test_a_change_tells_the_old_and_the_new_value_as_the_admin_api_tells_them(name):
    old, new = (make_key()._replace(**fields({name: value})) for value in VALUES[name])

    event = change_of(old, new, Actor("a"))

    assert event is not None
    kept = msgspec.json.decode(msgspec.json.encode({"old": event.old, "new": event.new}))
    was, becomes = (getattr(key_shape(key, NOW), name) for key in (old, new))
    assert was != becomes
    assert told_detail(kept) == {"old": {name: was}, "new": {name: becomes}}


def test_no_secret_is_ever_told():
    old = make_key()
    new = old._replace(name="new", secrets=(*old.secrets, KeySecret(b"d" * 32, 1, NOW, seed=b"s" * 16)))

    event = change_of(old, new, Actor("a"))

    assert event is not None
    assert event.new == {"name": "new"}
    assert change_of(new, new._replace(secrets=()), Actor("a")) is None
