"""A stolen database is worthless alone: it holds nothing that was handed out, and nothing can be forged from it.

contract.md, promise 5. A leaked database forges nothing, and neither does the secret alone.
"""

import hashlib
from base64 import b64decode
from pathlib import Path

import pytest

from hourpass.core.actor import Actor
from hourpass.core.errors import ConfigurationError, InvalidGrant, InvalidToken
from hourpass.core.grant import GrantRef
from hourpass.core.secret_ring import ServerSecret, ring_of
from hourpass.jose import RefreshTokens, decode_segment, encode_segment
from hourpass.server.issuing.revoke_introspect import revoke
from hourpass.server.issuing.self_rotation import next_secret
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.keys.master_key import MasterKey
from hourpass.testing import InMemoryServer


@pytest.fixture
async def server(shared, tmp_path):
    async with InMemoryServer(database_url=shared.url, data=str(tmp_path / "data")) as server:
        yield server


class Loot:
    """Everything that one server handed out to a client, or keeps behind its master key."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}

    def key(self, name: str, api_key: str) -> str:
        self.texts |= {name: api_key.encode(), f"{name}'s secret": api_key.split("_")[3][:26].encode()}
        self._hashes(name, api_key.encode())
        return api_key

    def pair(self, name: str, pair):
        self.token(f"{name} access token", pair.access_token)
        self.token(f"{name} refresh token", pair.refresh_token)
        tag = decode_segment(pair.refresh_token.split(b".")[1]).split(b'"jti":"')[1][:32]
        self.secret(f"{name} refresh token's tag", bytes.fromhex(tag.decode()))
        return pair

    def token(self, name: str, token: bytes) -> None:
        _, payload, signature = token.split(b".")
        self.texts |= {name: token, f"{name}'s payload": payload, f"{name}'s content": decode_segment(payload)}
        self.secret(f"{name}'s signature", decode_segment(signature))
        self._hashes(name, token)

    def secret(self, name: str, value: bytes) -> None:
        spellings = {"": value, " in hex": value.hex().encode(), " in base64url": encode_segment(value)}
        self.texts |= {name + spelling: text for spelling, text in spellings.items()}

    def _hashes(self, name: str, text: bytes) -> None:
        for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b"):
            self.secret(f"{algorithm} of {name}", hashlib.new(algorithm, text).digest())

    def found_in(self, data: bytes) -> list[str]:
        return [name for name, text in self.texts.items() if text in data]


async def use_everything(server: InMemoryServer) -> Loot:
    """Exchanges, refreshes, retries, a replay, revocations: all that writes to the database."""
    loot, issuer, policy = Loot(), server.app.issuer, server.settings.policy()
    for each in issuer.secrets.refresh.secrets:
        loot.secret(f"refresh secret {each.kid}", each.secret)
    loot.secret("pepper", issuer.secrets.pepper.secret)
    loot.secret("rotation secret", issuer.secrets.rotation.secret)
    loot.secret("master key", b64decode(Path(server.settings.data, "master.key").read_bytes()))
    for kid, signing_pair in issuer.verification.signing_keys.pairs.items():
        loot.secret(f"signing key {kid}", signing_pair.private_bytes())
        scalar = signing_pair._private.private_numbers().private_value
        loot.secret(f"signing key {kid}'s number", scalar.to_bytes(32, "big"))

    key = loot.key("first key", await server.create_key(scope="a b"))
    first = loot.pair("first", await server.exchange(key, scope="a"))
    second = loot.pair("second", await server.refresh(first.refresh_token))
    loot.pair("retried", await server.refresh(first.refresh_token))
    await revoke(issuer, second.access_token.decode(), server.clock())
    server.clock.advance(61)
    with pytest.raises(InvalidGrant, match="replayed"):
        await server.refresh(first.refresh_token)

    other = loot.key("second key", await server.create_key(environment="sandbox"))
    third = loot.pair("third", await server.exchange(other))
    await revoke(issuer, third.refresh_token.decode(), server.clock())
    loot.pair("fourth", await server.exchange(other))
    own = loot.key("key that rotates itself", await server.create_key(self_rotation=True))
    following = loot.key("its next secret", await next_secret(issuer, own, None, server.clock()))
    loot.pair("fifth", await server.exchange(following))
    await issuer.ledger.run(lambda store: revoke_key(store, other.split("_")[2], server.clock(), policy, Actor("test")))
    return loot


@pytest.mark.anyio
async def test_no_row_of_any_table_holds_anything_that_was_handed_out(shared, server):
    loot = await use_everything(server)

    for table, rows in shared.dump().items():
        for row in rows:
            values = [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
            assert loot.found_in(b"\n".join(values)) == [], table


@pytest.mark.anyio
async def test_no_byte_of_the_files_holds_anything_that_was_handed_out(shared, server):
    """The files also hold rows that were deleted or overwritten."""
    loot = await use_everything(server)

    assert loot.found_in(shared.raw()) == []


@pytest.mark.anyio
async def test_the_search_finds_what_is_really_there(shared, server):
    """The proof of the two tests above: the same search finds what is not secret."""
    await use_everything(server)
    rows = shared.dump()["grants"]
    loot = Loot()
    loot.secret("a grant's seed", rows[0]["seed"])
    loot.texts["a key's id"] = rows[0]["key_id"].encode()

    assert loot.found_in(shared.raw()) == ["a grant's seed", "a key's id"]


@pytest.mark.anyio
@pytest.mark.parametrize("guess", ["the sealed secret", "the seed", "zeros", "nothing"])
async def test_with_the_database_alone_no_refresh_token_can_be_forged(shared, server, guess):
    """The thief knows the grant, its seed and generation, and the kid, and lacks the refresh secret."""
    pair = await server.exchange(await server.create_key())
    issuer = server.app.issuer
    grant = await issuer.ledger.read(lambda store: store.grants_page(GrantRef("", b""), 1)[0])
    kid, sealed = next((row["kid"], row["sealed"]) for row in shared.dump()["secrets"] if row["name"] == "refresh")
    secret = {"the sealed secret": sealed, "the seed": grant.seed, "zeros": bytes(32), "nothing": b""}[guess]
    thief = RefreshTokens(
        ring_of([ServerSecret(kid, secret)]), issuer=issuer.url, audience=f"{issuer.url}/auth/refresh"
    )
    now = server.clock() // 1000
    forged = thief.mint(grant, now)
    assert forged.split(b".")[:1] == pair.refresh_token.split(b".")[:1]

    with pytest.raises(InvalidGrant) as refused:
        await server.refresh(forged)

    assert refused.value.reason == "malformed"
    assert (await server.refresh(pair.refresh_token)).access_token


@pytest.mark.anyio
async def test_with_the_refresh_secret_alone_no_refresh_token_can_be_forged(server):
    """The thief knows the secret, and the grant's id from an access token, and lacks the seed."""
    pair = await server.exchange(await server.create_key())
    issuer = server.app.issuer
    grant = await issuer.ledger.read(lambda store: store.grants_page(GrantRef("", b""), 1)[0])
    thief, now = issuer.secrets.refresh_tokens(issuer.url), server.clock() // 1000
    forged = thief.mint(grant._replace(seed=b"a guessed seed!!"), now)

    with pytest.raises(InvalidGrant) as refused:
        await server.refresh(forged)

    assert refused.value.reason == "unknown"
    assert (await server.refresh(pair.refresh_token)).access_token


@pytest.mark.anyio
async def test_a_genuine_refresh_token_is_refused_as_an_access_token(server):
    pair = await server.exchange(await server.create_key())

    with pytest.raises(InvalidToken):
        server.app.issuer.verification.verify(pair.refresh_token, server.clock())


@pytest.mark.anyio
async def test_another_master_key_opens_nothing(shared, server):
    stranger = MasterKey(bytes(32))
    sealed = [(row["name"], row["sealed"]) for row in shared.dump()["secrets"]]
    assert {name for name, _ in sealed} == {"pepper", "refresh", "rotation", "trail"}

    for name, secret in sealed:
        with pytest.raises(ConfigurationError, match="does not open"):
            stranger.open(name, secret)
