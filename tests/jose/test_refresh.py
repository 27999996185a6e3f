"""Refresh tokens: derived and never stored, bound to their row and this issuer, never mistaken for another kind."""

import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.errors import InvalidGrant, InvalidToken
from hourpass.core.grant import Grant, GrantRef, generation_tag
from hourpass.core.secret_ring import PUBLISH_AHEAD, ServerSecret, ring_of
from hourpass.jose import (
    MAX_TOKEN_LENGTH,
    AccessClaims,
    OpenedRefreshToken,
    RefreshTokens,
    SigningKeyPair,
    UnknownSecret,
    decode_segment,
    encode_segment,
    open_access_token,
    unverified_issuer,
)
from hourpass.testing import InMemoryServer

ISSUER = "https://i.test"
ENDPOINT = "https://i.test/auth/refresh"
NEW, OLD = ("r2", b"n" * 32), ("r1", b"o" * 32)
REF = GrantRef("vLN4aeuHv8ZP", bytes(range(16)))
SEED = b"s" * 16
EXPIRES = 9_000
HEADER = {"typ": "rt+jwt", "alg": "HS256", "kid": "r2"}


def ring(*secrets, issuer=ISSUER, audience=ENDPOINT) -> RefreshTokens:
    """The newest secret first. It has been in use for as long as these tests look back."""
    secrets = secrets or (NEW,)
    made = ring_of(ServerSecret(*each, -number - PUBLISH_AHEAD) for number, each in enumerate(secrets))
    return RefreshTokens(made, issuer=issuer, audience=audience)


def grant(generation: int, seed: bytes, ref: GrantRef = REF) -> Grant:
    return Grant(ref.grant_id, ref.key_id, generation, seed, (), None, 0, EXPIRES * 1_000, EXPIRES * 2_000)


def minted(tokens: RefreshTokens, generation=3, *, seed=SEED, issued_at=100) -> bytes:
    return tokens.mint(grant(generation, seed), issued_at)


GOOD = minted(ring())
HEAD, BODY, SIGNATURE = GOOD.split(b".")
CLAIMS = json.loads(decode_segment(BODY))


def reason(token: bytes, now=200, tokens=None) -> str:
    with pytest.raises(InvalidGrant) as refusal:
        (tokens or ring()).open(token, now)
    return refusal.value.reason


def signed(payload: bytes, header=HEADER, secret=NEW[1]) -> bytes:
    """A token that the holder of the secret could make."""
    head = encode_segment(json.dumps(header, separators=(",", ":")).encode())
    data = head + b"." + encode_segment(payload)
    return data + b"." + encode_segment(hmac.digest(secret, data, "sha256"))


def signed_claims(**changes) -> bytes:
    return signed(json.dumps(CLAIMS | changes).encode())


@pytest.mark.parametrize("generation", [0, 1, 7, 2**63 - 1])
def test_any_generation_can_be_minted_again_at_any_time(generation):
    first, again = (minted(ring(), generation, issued_at=at) for at in (100, 150))

    assert first != again
    opened = OpenedRefreshToken(REF, generation, generation_tag(SEED, generation))
    assert ring().open(first, 200) == ring().open(again, 200) == opened


def test_a_refresh_token_begins_like_the_source_s_and_says_what_it_must():
    header, payload = (json.loads(decode_segment(part)) for part in (HEAD, BODY))

    assert GOOD.startswith(b"eyJ0eXAiO")
    assert (list(header), header) == (["typ", "alg", "kid"], HEADER)
    assert payload == {
        "iss": ISSUER,
        "aud": ENDPOINT,
        "client_id": REF.key_id,
        "sid": REF.grant_id.hex(),
        "gen": 3,
        "iat": 100,
        "exp": EXPIRES,
        "jti": generation_tag(SEED, 3).hex(),
    }


def test_the_seed_is_not_in_the_token():
    assert SEED.hex() not in json.dumps(CLAIMS)


@pytest.mark.parametrize(("now", "refusal"), [(EXPIRES - 1, None), (EXPIRES, "expired"), (EXPIRES + 1, "expired")])
def test_a_refresh_token_has_no_leeway(now, refusal):
    """The grant decides. The token's own end is only an early answer, so it needs none."""
    if refusal is None:
        assert ring().open(GOOD, now).generation == 3
    else:
        assert reason(GOOD, now) == refusal


def test_the_newest_secret_mints_and_every_secret_of_the_ring_opens():
    rotated = ring(NEW, OLD)

    assert rotated.open(minted(ring(OLD)), 200).ref == REF
    assert ring(NEW).open(minted(rotated), 200).ref == REF
    assert reason(minted(rotated), tokens=ring(OLD)) == "malformed"


def test_a_secret_that_left_the_ring_opens_nothing():
    assert reason(minted(ring(OLD)), tokens=ring(NEW)) == "malformed"


def test_a_key_id_names_its_own_secret_only():
    assert reason(signed(json.dumps(CLAIMS).encode(), secret=OLD[1]), tokens=ring(NEW, OLD)) == "malformed"


def test_the_secret_alone_forges_no_tag():
    """`sid` and `client_id` are visible in access tokens. The tag needs the seed, which only the database has."""
    forged = minted(ring(), seed=b"guessed-the-seed")

    assert ring().open(forged, 200).tag != generation_tag(SEED, 3)


def test_the_database_alone_forges_no_signature():
    forged = minted(ring(("r2", b"guessed secret of 32 bytes......")))

    assert reason(forged) == "malformed"


@pytest.mark.anyio
async def test_a_token_with_the_right_secret_and_the_wrong_tag_burns_nothing():
    """threat-model.md, "Attackers": failing traffic burns and revokes nothing genuine."""
    async with InMemoryServer() as server:
        pair = await server.exchange(await server.create_key())
        secrets = server.app.issuer.secrets.refresh_tokens(server.settings.issuer)
        opened = secrets.open(pair.refresh_token, server.clock() // 1_000)
        for generation in (0, 1, 5):
            forged = secrets.mint(grant(generation, b"?" * 16, opened.ref)._replace(idle_expires_at=2**50), 0)
            with pytest.raises(InvalidGrant) as refusal:
                await server.refresh(forged)
            assert refusal.value.reason == "unknown"

        assert await server.refresh(pair.refresh_token)


@pytest.mark.parametrize(
    "other",
    [{"issuer": "https://other.test"}, {"audience": "https://i.test/oauth/token"}, {"issuer": "https://i.test/"}],
    ids=["issuer", "audience", "a-slash-more"],
)
def test_a_token_for_another_issuer_or_endpoint_is_refused_though_the_secret_is_shared(other):
    assert reason(minted(ring(**other))) == "malformed"


PAIR = SigningKeyPair.generate("r2", "ES256")
ACCESS = PAIR.mint(AccessClaims(ISSUER, "s", ENDPOINT, EXPIRES, 100, "j", "k", "", REF.grant_id.hex(), "production"))


def test_an_access_token_is_never_a_refresh_token():
    """RFC 8725 §3.11, §3.12: explicit types, and rules that exclude each other."""
    assert reason(ACCESS) == "access_token_given"
    assert reason(signed(json.dumps(CLAIMS).encode(), HEADER | {"typ": "at+jwt"})) in (
        "malformed",
        "access_token_given",
    )


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
@pytest.mark.parametrize("kid", ["k", "another-server's_key.1", "z" * 64])
def test_an_access_token_is_recognised_by_its_header_with_any_signature(algorithm, kid):
    pair = SigningKeyPair.generate(kid, algorithm)

    assert reason(pair.header + b".e30.AAAA") == "access_token_given"


def test_a_refresh_token_is_never_an_access_token():
    with pytest.raises(InvalidToken) as refusal:
        open_access_token(GOOD, {PAIR.header: PAIR.verification_key})
    assert refusal.value.problem == "signature"


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"alg": "none"},
        HEADER | {"alg": "HS512"},
        HEADER | {"alg": "ES256"},
        HEADER | {"typ": "JWT"},
        HEADER | {"kid": "r3"},
        HEADER | {"kid": ["r2"]},
        HEADER | {"crit": ["exp"]},
        HEADER | {"zip": "DEF"},
        {"alg": "HS256", "typ": "rt+jwt", "kid": "r2"},
        {"typ": "rt+jwt", "alg": "HS256"},
        {},
    ],
    ids=json.dumps,
)
def test_a_header_of_none_of_our_secrets_is_refused_unread(header):
    assert reason(signed(json.dumps(CLAIMS).encode(), header)) == "malformed"


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"..",
        b"nope",
        HEAD + b"." + BODY,
        HEAD + b"." + BODY + b".",
        GOOD + b".",
        GOOD + b"=",
        GOOD + b" ",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD[:-1],
        GOOD[:-2],
        GOOD + b"A",
        HEAD + b"." + BODY + b"." + encode_segment(bytes(32)),
        HEAD + b"." + encode_segment(json.dumps(CLAIMS | {"gen": 4}).encode()) + b"." + SIGNATURE,
        b"a" * MAX_TOKEN_LENGTH,
        b"a" * (MAX_TOKEN_LENGTH + 1),
    ],
    ids=lambda token: repr(token[-12:]) + str(len(token)),
)
def test_a_token_that_this_server_never_made_is_malformed(token):
    assert reason(token) == "malformed"


def test_a_token_may_be_8_kib_long_and_no_longer():
    """An unknown member fills a genuine token up."""
    room = (MAX_TOKEN_LENGTH - len(HEAD) - len(SIGNATURE) - 2) * 3 // 4
    filling = "x" * (room - len(json.dumps(CLAIMS | {"x": ""})))

    assert len(signed_claims(x=filling)) == MAX_TOKEN_LENGTH
    assert ring().open(signed_claims(x=filling), 200).ref == REF
    assert reason(signed_claims(x=filling + "x")) == "malformed"


@pytest.mark.parametrize("member", CLAIMS)
def test_a_missing_claim_is_malformed_even_under_our_own_secret(member):
    rest = {name: value for name, value in CLAIMS.items() if name != member}

    assert reason(signed(json.dumps(rest).encode())) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("gen", "iat", "exp") for value in (1.0, True, "1", None, [1])),
        *({"gen": value} for value in (-1, 2**63, 10**30)),
        *({name: value} for name in ("sid", "jti") for value in ("xyz", "0", "\N{FULLWIDTH DIGIT ZERO}0", 7)),
        {"aud": [ENDPOINT]},
    ],
    ids=repr,
)
def test_a_claim_of_the_wrong_kind_is_malformed_even_under_our_own_secret(changes):
    assert reason(signed_claims(**changes)) == "malformed"


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_token_with_any_one_byte_changed_is_refused(position, byte):
    if GOOD[position] != byte:
        assert reason(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :]) == "malformed"


@given(st.binary(max_size=120) | st.text("ey.-_A=0", max_size=60).map(str.encode))
def test_any_bytes_are_opened_or_refused(token):
    assert reason(token) == "malformed"
    assert unverified_issuer(token) is None


def test_the_issuer_that_a_token_claims_can_be_told_without_proving_anything():
    assert unverified_issuer(GOOD) == ISSUER
    assert unverified_issuer(HEAD + b"." + BODY + b".forged") == ISSUER


def test_a_token_nested_without_end_claims_no_issuer():
    deep = json.dumps(CLAIMS).replace("{", '{"x":' + "[" * 5_000 + "]" * 5_000 + ",", 1)

    assert unverified_issuer(HEAD + b"." + encode_segment(deep.encode()) + b"." + SIGNATURE) is None


def test_a_generation_is_minted_by_the_secret_that_was_in_use_when_it_began():
    """So a retry gets the very same token after the change, and from a node that learnt of it late."""
    old = ServerSecret(*OLD, 0)
    new = ServerSecret(*NEW, 500_000)
    before, after = (RefreshTokens(ring_of(each), issuer=ISSUER, audience=ENDPOINT) for each in ([old], [old, new]))
    used_from = (500_000 + PUBLISH_AHEAD) // 1_000

    assert minted(after, issued_at=used_from - 1) == minted(before, issued_at=used_from - 1)
    assert minted(after, issued_at=used_from).startswith(HEAD)
    assert after.open(minted(after, issued_at=used_from), 200).ref == REF
    before.learn(ring_of([old, new]))
    assert minted(before, issued_at=used_from) == minted(after, issued_at=used_from)
    before.learn(ring_of([new]))
    assert reason(minted(after, issued_at=used_from - 1), tokens=before) == "malformed"


def test_a_secret_that_is_not_known_here_is_told_from_what_no_server_made():
    with pytest.raises(UnknownSecret):
        ring(OLD).open(GOOD, 200)
    for odd in (b"e30." + BODY + b"." + SIGNATURE, b"." + BODY + b"." + SIGNATURE, HEAD[:30] + b"." + BODY + b".x"):
        with pytest.raises(InvalidGrant) as refusal:
            ring(OLD).open(odd, 200)
        assert type(refusal.value) is InvalidGrant
