"""One row of an import: what its columns mean, and what is refused, in words that repeat nothing of it."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import nobodys_key

from hourpass.core.key_hash import KeyHash
from hourpass.server.keys.import_rows import (
    COLUMNS,
    Hashed,
    ImportRow,
    InPlain,
    RowRefused,
    SlowlyHashed,
    read_row,
)

KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
SHA256 = hashlib.sha256(KEY.encode()).digest()
SHA512 = hashlib.sha512(KEY.encode()).digest()
BCRYPT = "$2b$04$" + "N9qo8uLOickgx2ZMRZoMye" + "IjZAgcfl7p92ldGxad68LJZdL17lhWy"
COSTLY = BCRYPT.replace("$04$", "$31$")
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG"
ROW = {"key": KEY, "name": "customer 1"}
NETWORKS = " ".join(f"192.0.2.{number}" for number in range(101))
KNOWN = ", ".join(COLUMNS)
HMAC = KeyHash("hmac-sha256", "k1", b"secret")


def hashed(algorithm: str, text: str, **more: str) -> dict[str, object]:
    return {"hash": text, "algorithm": algorithm, "name": "customer 1", **more}


def reason(row: dict[str, object], **options) -> str:
    with pytest.raises(RowRefused) as refused:
        read_row(row, **options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ({}, {}),
        ({"subject": "account-7"}, {"subject": "account-7"}),
        ({"subject": ""}, {"subject": None}),
        ({"scope": "b  a b"}, {"scope": "a b"}),
        ({"scope": ""}, {"scope": ""}),
        ({"environment": "sandbox"}, {"environment": "sandbox"}),
        ({"environment": ""}, {"environment": "production"}),
        ({"audience": "https://a https://b"}, {"audience": "https://a", "more_audiences": ("https://b",)}),
        ({"audience": ["https://a"]}, {"audience": "https://a", "more_audiences": ()}),
        ({"audience": ""}, {"audience": None, "more_audiences": ()}),
        ({"expires_at": "2027-01-31"}, {"expires_at": 1_801_353_600_000}),
        ({"expires_at": "2027-01-31T01:00:00+01:00"}, {"expires_at": 1_801_353_600_000}),
        ({"expires_at": None}, {"expires_at": None}),
        ({"allowed_ips": "10.0.0.0/8, 192.0.2.1"}, {"allowed_ips": ("10.0.0.0/8", "192.0.2.1/32")}),
        ({"allowed_ips": ["10.0.0.0/8"]}, {"allowed_ips": ("10.0.0.0/8",)}),
        ({"claims": '{"tenant": "acme"}'}, {"claims": (("tenant", "acme"),)}),
        ({"claims": {"seats": 5}}, {"claims": (("seats", 5),)}),
        ({"claims": ""}, {"claims": ()}),
        ({"tags": {"team": "billing"}}, {"tags": (("team", "billing"),)}),
        ({"external_id": "42"}, {"external_id": "42"}),
        ({"external_id": ""}, {"external_id": None}),
    ],
    ids=json.dumps,
)
def test_a_row_has_the_fields_that_it_has_columns_for(columns, fields):
    assert read_row({**ROW, **columns}) == ImportRow(InPlain(KEY), {"name": "customer 1", **fields})


@pytest.mark.parametrize(
    ("row", "secret"),
    [
        (hashed("sha256", SHA256.hex()), Hashed(KeyHash("sha256"), SHA256)),
        (hashed("sha256", SHA256.hex().upper()), Hashed(KeyHash("sha256"), SHA256)),
        (hashed("sha256", base64.b64encode(SHA256).decode()), Hashed(KeyHash("sha256"), SHA256)),
        (hashed("sha256", base64.urlsafe_b64encode(SHA256).decode().rstrip("=")), Hashed(KeyHash("sha256"), SHA256)),
        (hashed("sha512", SHA512.hex()), Hashed(KeyHash("sha512"), SHA512)),
        (hashed("sha512", base64.b64encode(SHA512).decode()), Hashed(KeyHash("sha512"), SHA512)),
        (hashed("hmac-sha256", SHA256.hex()), Hashed(HMAC, SHA256)),
        (hashed("django", f"sha512$${SHA512.hex()}", lookup="sk_live_"), Hashed(KeyHash("sha512"), SHA512)),
        (hashed("bcrypt", BCRYPT, lookup="sk_live_Zk3v"), SlowlyHashed("sk_live_Zk3v", "bcrypt", BCRYPT)),
        (hashed("argon2", ARGON2, lookup="sk_live_Zk3v"), SlowlyHashed("sk_live_Zk3v", "argon2", ARGON2)),
    ],
    ids=[
        "hex", "upper-case hex", "base64", "base64url", "sha512", "sha512 in base64", "hmac", "django without salt",
        "bcrypt", "argon2",
    ],
)  # fmt: skip
def test_a_hash_is_read_as_the_provider_wrote_it(row, secret):
    assert read_row(row, hmac_hash=HMAC).secret == secret


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"name": "x"}, "neither key nor hash is given"),
        ({"key": KEY}, "name is missing"),
        ({**ROW, "name": ""}, "name is empty"),
        ({**ROW, "name": "\n"}, "name: not 1 to 200 printable characters"),
        ({**ROW, "name": 5}, "name: not a text"),
        ({**ROW, "hash": SHA256.hex()}, "both key and hash are given"),
        ({**ROW, "key": "short"}, "key: not 16 to 512 visible ASCII characters"),
        ({**ROW, "key": f"{KEY} "}, "key: not 16 to 512 visible ASCII characters"),
        ({**ROW, "key": ["x"]}, "key: not a text"),
        ({**ROW, "key": "password12345678"}, "key: about 52 bits of entropy, too weak (accept_weak takes it)"),
        ({"hash": SHA256.hex(), "name": "x"}, "hash needs an algorithm"),
        (hashed("md5", "x"), "algorithm: not sha256, sha512, hmac-sha256, bcrypt, argon2 or django"),
        (hashed("sha256", SHA256.hex()[1:]), "hash: not 32 bytes in hex or base64"),
        (hashed("sha256", "ü" * 64), "hash: not 32 bytes in hex or base64"),
        (hashed("sha512", SHA256.hex()), "hash: not 64 bytes in hex or base64"),
        (hashed("hmac-sha256", SHA256.hex()), "hmac-sha256 needs the secret that made the hashes"),
        (hashed("bcrypt", BCRYPT), "bcrypt needs a lookup: how the key begins"),
        (hashed("bcrypt", BCRYPT, lookup="abc"), "lookup: not 4 to 64 visible ASCII characters"),
        (hashed("bcrypt", BCRYPT[:-1], lookup="abcd"), "hash: not a hash of bcrypt that is known here"),
        (hashed("bcrypt", COSTLY, lookup="abcd"), "hash: checking this hash would cost too much"),
        (hashed("argon2", "$argon2id$", lookup="abcd"), "hash: not a hash of argon2 that is known here"),
        (hashed("django", "md5$salt$x", lookup="abcd"), "hash: not a hash of django that is known here"),
        ({**ROW, "scope": 'a"b'}, "scope: not scopes separated by spaces alone"),
        ({**ROW, "scope": "videos.read, videos.write"}, "scope: not scopes separated by spaces alone"),
        ({**ROW, "environment": "staging"}, "environment: not production or sandbox"),
        ({**ROW, "audience": "é"}, "audience: more than 32, or not up to 200 visible ASCII characters"),
        ({**ROW, "audience": [5]}, "audience: not a text"),
        ({**ROW, "expires_at": "soon"}, "expires_at: not a date such as 2027-01-31 or 2027-01-31T12:00:00Z"),
        ({**ROW, "allowed_ips": "here"}, "allowed_ips: more than 100, or not addresses or networks"),
        ({**ROW, "allowed_ips": NETWORKS}, "allowed_ips: more than 100, or not addresses or networks"),
        ({**ROW, "claims": "{"}, "claims: not a JSON object"),
        ({**ROW, "claims": [1]}, "claims: not a JSON object"),
        ({**ROW, "tags": {"a": 1}}, "tags: not texts"),
        ({**ROW, "external_id": "a b"}, "external_id: not up to 200 visible ASCII characters"),
        ({**ROW, KEY: "x"}, f"an unknown member; known are: {KNOWN}"),
        ({**ROW, "expires": "x"}, "unknown: expires; did you mean expires_at?"),
        ({**ROW, "owner": "x", KEY: "x", "plan": "x"}, f"unknown: owner, plan and 1 more; known are: {KNOWN}"),
        ({**ROW, "a=b": "x", "<b>": "x"}, f"2 unknown members; known are: {KNOWN}"),
    ],
)  # fmt: skip
def test_a_row_is_refused_with_its_reason(row, expected):
    assert reason(row) == expected


def test_reserved_claims_are_refused():
    assert reason({**ROW, "claims": {"sub": "x"}}).startswith("claims: reserved")


def test_a_weak_key_is_taken_if_the_operator_says_so():
    assert read_row({**ROW, "key": "password12345678"}, accept_weak=True).secret == InPlain("password12345678")


def test_nothing_of_a_row_shows_a_secret():
    rows = [ROW, hashed("sha256", SHA256.hex()), hashed("bcrypt", BCRYPT, lookup="sk_live_Zk3v")]

    for row in rows:
        shown = repr(read_row(row))
        assert not any(part in shown for part in ("Zk3v", SHA256.hex(), repr(SHA256), BCRYPT))


values = st.one_of(
    st.text(max_size=80), st.none(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
)


@given(st.dictionaries(st.sampled_from([*COLUMNS, "other"]), values))
def test_every_row_is_read_or_refused(columns):
    try:
        assert isinstance(read_row(columns), ImportRow)
    except RowRefused as refused:
        assert str(refused)  # noqa: PT017


@pytest.mark.parametrize("column", sorted(COLUMNS.keys() - {"key", "hash"}))
def test_a_key_stands_in_no_other_column_than_its_own(column):
    ours = nobodys_key()
    for row, key in (({}, ours), ({}, KEY), ({"key": "", "hash": "0" * 64, "algorithm": "sha256"}, ours)):
        for value in (f"x {key}", [key], {"x": key}, {key: "x"}):
            with pytest.raises(RowRefused, match=column) as refused:
                read_row({**ROW, **row, column: value})
            assert key not in str(refused.value)


@given(st.sampled_from(sorted(COLUMNS)))
def test_no_reason_repeats_a_key_in_the_wrong_column(column):
    try:
        read_row({**ROW, "key": "", column: f"{KEY}\n{KEY}"})
    except RowRefused as refused:
        assert "Zk3v" not in str(refused)  # noqa: PT017
