"""API keys, signing keys and secrets, and the version by which other processes notice their changes."""

import pytest
from tests.contract.conftest import KEY, NOW, make_key

from hourpass.core.admin_access import SCOPES
from hourpass.core.api_key import KeySecret
from hourpass.core.signing_key import SigningKey
from hourpass.server.store import transaction
from hourpass.server.store.sealed import StoredSecret, StoredSigningKey

SIGNING_KEY = StoredSigningKey(SigningKey("kid1", "ES256", NOW, NOW + 600), b"sealed\0bytes")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(make_key(), id="only what must be there"),
        pytest.param(
            make_key(
                subject="account-7",
                scope="a b",
                environment="sandbox",
                audience="https://api.example.com",
                retry_window=0,
                allowed_ips=("10.0.0.0/8", "2001:db8::/32"),
                expires_at=NOW + 1,
            ),
            id="everything set",
        ),
    ],
)
def test_an_api_key_comes_back_as_it_was_made(store, key):
    store.add_key(key)

    assert store.key(key.key_id) == key
    assert store.keys_page("", 10) == [key]


@pytest.mark.parametrize("key_id", ["nosuchkey000", KEY.swapcase(), "", "' or 1=1 --"])
def test_an_unknown_key_is_none(store, key_id):
    store.add_key(make_key())

    assert store.key(key_id) is None


def test_everything_but_its_id_its_birth_its_secrets_and_its_end_may_change_of_a_key(store):
    store.add_key(make_key())
    changed = make_key(
        name="other",
        subject="s",
        scope="b",
        environment="sandbox",
        audience="a",
        retry_window=1,
        allowed_ips=("::1/128",),
        expires_at=NOW + 1,
        disabled_at=NOW + 4,
        more_audiences=("b", "c"),
        claims=(("tenant", "acme"), ("seats", 5)),
        tags=(("team", "billing"),),
        access_token_lifetime=9_000,
        self_rotation=True,
        external_id="42",
        raw_until=NOW + 5,
        raw_until_set_at=NOW + 6,
        valid_from=NOW + 7,
        tokens_from=NOW + 8,
    )

    assert store.update_key(changed) is True
    assert store.key(KEY) == changed
    assert store.update_key(changed._replace(key_id="nosuchkey000")) is False


def test_a_key_that_has_ended_is_changed_no_more(store):
    store.add_key(make_key())
    store.revoke_key(KEY, NOW + 1)

    assert store.update_key(make_key(name="other")) is False


def test_a_key_is_found_by_each_of_its_secrets_and_by_the_providers_own_id(store):
    store.add_key(make_key(external_id="42"))
    store.add_key(make_key("otherkey0000"))
    second = KeySecret(bytes(32), 1, NOW + 1, seed=bytes(16))

    store.add_key_secret(KEY, second)

    assert store.key(KEY).secrets == (*make_key().secrets, second)
    assert [key.secrets for key in store.keys_page("", 10)] == [
        (*make_key().secrets, second),
        make_key("otherkey0000").secrets,
    ]
    assert store.key_of_digest(bytes(32)) == store.key_of_digest(make_key().secrets[0].digest) == KEY
    assert store.keys_of_external_ids(["42", "43"]) == {"42": KEY}
    assert store.key_of_digest(b"1" * 32) is None


def test_a_secret_notes_its_first_use_and_its_end_and_can_be_taken_away(store):
    first = make_key().secrets[0]
    store.add_key(make_key())
    used = first._replace(first_used_at=NOW + 3, ends_at=NOW + 9)
    store.add_key_secret(KEY, KeySecret(bytes(32), 1, NOW + 1))

    store.save_key_secret(KEY, used)
    store.delete_key_secret(bytes(32))

    assert store.key(KEY).secrets == (used,)


def test_a_key_of_a_program_that_knows_one_secret_has_that_one(store):
    """A node of the version before may make keys while the nodes are upgraded."""
    store.add_key(make_key())
    store.delete_key_secret(make_key().secrets[0].digest)

    assert store.key(KEY) == make_key()
    assert store.keys_page("", 10) == [make_key()]


def test_two_keys_cannot_have_one_secret_or_one_id_of_the_providers(store):
    store.add_key(make_key(external_id="42"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        store.add_key(make_key("otherkey0000", external_id="42"))


def test_the_first_end_of_a_key_stands(store):
    store.add_key(make_key())

    assert store.revoke_key(KEY, NOW + 1) is True
    assert store.revoke_key(KEY, NOW + 2) is False
    assert store.key(KEY) == make_key(revoked_at=NOW + 1, revoked_why="revoked")


def test_a_key_that_does_not_exist_cannot_be_revoked(store):
    assert store.revoke_key("nosuchkey000", NOW) is False


def test_signing_keys_come_back_with_their_sealed_half(store):
    later = StoredSigningKey(SigningKey("kid0", "RS256", NOW + 1, NOW + 700), bytes(1_200))
    store.add_signing_key(later)
    store.add_signing_key(SIGNING_KEY)

    assert sorted(store.signing_keys()) == sorted([SIGNING_KEY, later])


def test_a_deleted_signing_key_is_gone_and_the_others_are_not(store):
    later = SIGNING_KEY._replace(key=SIGNING_KEY.key._replace(kid="kid2"))
    store.add_signing_key(SIGNING_KEY)
    store.add_signing_key(later)

    store.delete_signing_key("kid1")

    assert store.signing_keys() == [later]


def test_the_first_retirement_of_a_signing_key_stands(store):
    store.add_signing_key(SIGNING_KEY)

    store.retire_signing_key("kid1", NOW + 9)
    store.retire_signing_key("kid1", NOW + 99)

    assert store.signing_keys()[0].key == SIGNING_KEY.key._replace(retired_at=NOW + 9)


def test_secrets_come_newest_first_and_by_their_name(store):
    """The newest refresh secret mints, the others only open."""
    store.add_secret("refresh", "b", b"old", NOW)
    store.add_secret("refresh", "c", b"newest", NOW + 2)
    store.add_secret("refresh", "a", b"middle", NOW + 1)
    store.add_secret("pepper", "1", b"other", NOW + 3)

    assert [(each.kid, each.sealed) for each in store.sealed_secrets("refresh")] == [
        ("c", b"newest"),
        ("a", b"middle"),
        ("b", b"old"),
    ]
    assert store.sealed_secrets("pepper") == [StoredSecret("pepper", "1", b"other", NOW + 3)]
    assert store.sealed_secrets("nothing") == []
    assert [each.kid for each in store.sealed_secrets()] == ["1", "c", "a", "b"]


CHANGES_OF_KEYS = {
    "add an API key": lambda store: store.add_key(make_key("newkey000000")),
    "revoke an API key": lambda store: store.revoke_key(KEY, NOW),
    "edit an API key": lambda store: store.update_key(make_key(name="other")),
    "give an API key a secret": lambda store: store.add_key_secret(KEY, KeySecret(bytes(32), 1, NOW)),
    "note a secret's first use": lambda store: store.save_key_secret(
        KEY, make_key().secrets[0]._replace(first_used_at=NOW)
    ),
    "show a secret to older programs": lambda store: store.show_key_secret(KEY, make_key().secrets[0]),
    "take a secret away": lambda store: store.delete_key_secret(make_key().secrets[0].digest),
    "add a secret": lambda store: store.add_secret("refresh", "k", b"sealed", NOW),
    "add a signing key": lambda store: store.add_signing_key(StoredSigningKey(SIGNING_KEY.key, b"sealed")),
    "retire a signing key": lambda store: store.retire_signing_key("kid0", NOW),
    "delete a signing key": lambda store: store.delete_signing_key("kid0"),
}


@pytest.mark.parametrize("change", CHANGES_OF_KEYS.values(), ids=CHANGES_OF_KEYS)
def test_every_change_of_keys_is_seen_by_another_connection(shared, change):
    ours, theirs = shared.connect(), shared.connect()
    with transaction(ours):
        ours.add_key(make_key())
        ours.add_signing_key(StoredSigningKey(SigningKey("kid0", "ES256", NOW, NOW), b"sealed"))
    before = seen_by(theirs)

    with transaction(ours):
        change(ours)

    assert seen_by(theirs).version > before.version


def test_only_a_change_of_keys_raises_the_version(store):
    """Every process reads its keys again after a change: a refresh must not cause that."""
    store.add_key(make_key())
    store.revoke_key(KEY, NOW)
    before = store.control().version

    store.revoke_key(KEY, NOW + 1)
    store.add_revocation("key", KEY, NOW + 1)

    assert store.control().version == before


def test_a_change_that_was_undone_leaves_the_version_alone(store):
    before = store.control()
    store.rollback()
    store.begin(wait=True)
    store.add_key(make_key())
    store.rollback()
    store.begin_reading()

    assert store.control() == before


def seen_by(store):
    store.begin_reading()
    control = store.control()
    store.commit()
    return control


def test_a_hash_in_use_is_noted_once(store):
    for name in ("sha256", "plain", "sha256"):
        store.add_key_hash(name, NOW)

    assert store.key_hashes() == ["plain", "sha256"]
    assert store.control().version == 2


def test_a_leaked_secret_is_noted_once(store):
    assert store.note_leak(b"a" * 32, "key1", NOW)
    assert not store.note_leak(b"a" * 32, "key1", NOW + 1)
    assert store.note_leak(b"b" * 32, "key1", NOW + 1)


def test_an_admin_key_has_the_scope_that_its_role_means_now(store):
    store.add_key(make_key(admin="auditor", scope="keys:read what:auditors-had-before"))

    assert store.key(KEY).scope.split() == sorted(SCOPES["auditor"])
    assert store.keys_page("", 10)[0].scope == store.keys_of_ids([KEY])[KEY].scope == store.key(KEY).scope
