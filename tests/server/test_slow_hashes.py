"""Slow hashes of imported keys: checked in bounds, and replaced by a fast digest on the first use."""

import asyncio
import hashlib
import os
import time
from base64 import b64encode

import argon2
import bcrypt
import pytest
from tests.server.conftest import nobodys_key

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidCredentials, Throttled, Unavailable
from hourpass.core.token_request import PLAIN_REQUEST
from hourpass.server.issuing.slow_proofs import WAITING
from hourpass.server.keys.import_rows import read_row
from hourpass.server.keys.importing import import_keys
from hourpass.server.keys.slow_hashes import matches, refusal_of

KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
OTHER = "sk_live_pL2sD7fG5hJ9kM3nB8vC"


def bcrypt_of(text: str) -> str:
    return bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(4)).decode()


def argon2_of(text: str) -> str:
    return argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(text)


def pbkdf2_of(text: str, name: str = "sha256") -> str:
    made = hashlib.pbkdf2_hmac(name, text.encode(), b"salt", 1000)
    return f"pbkdf2_{name}$1000$salt${b64encode(made).decode()}"


def scrypt_of(text: str) -> str:
    made = hashlib.scrypt(text.encode(), salt=b"salt", n=16, r=8, p=1, dklen=64)
    return f"scrypt$salt$16$8$1${b64encode(made).decode()}"


def bcrypt_sha256_of(text: str) -> str:
    return "bcrypt_sha256$" + bcrypt_of(hashlib.sha256(text.encode()).hexdigest())


HASHES = {
    "bcrypt": ("bcrypt", bcrypt_of),
    "argon2": ("argon2", argon2_of),
    "django pbkdf2": ("django", pbkdf2_of),
    "django pbkdf2 sha1": ("django", lambda text: pbkdf2_of(text, "sha1")),
    "django scrypt": ("django", scrypt_of),
    "django bcrypt": ("django", lambda text: "bcrypt$" + bcrypt_of(text)),
    "django bcrypt_sha256": ("django", bcrypt_sha256_of),
    "django argon2": ("django", lambda text: "argon2" + argon2_of(text)),
}


@pytest.mark.parametrize("kind", HASHES)
def test_each_hash_that_can_be_imported_tells_its_text_from_others(kind):
    algorithm, make = HASHES[kind]
    hashed = make(KEY)

    assert refusal_of(algorithm, hashed) is None
    assert matches(algorithm, hashed, KEY)
    assert not matches(algorithm, hashed, OTHER)


def test_bcrypt_looks_at_72_bytes():
    text = "x" * 72

    assert matches("bcrypt", bcrypt_of(text), text + "more")


ARGON2 = "$argon2id$v=19$m={},t={},p={}$c29tZXNhbHQ$RdescudvJCsgt3ub"
SCRYPT = "scrypt$salt${}${}${}$RdescudvJCsgt3ub"


@pytest.mark.parametrize(
    ("algorithm", "hashed", "most", "more"),
    [
        ("bcrypt", bcrypt_of(KEY).replace("$04$", "${}$"), (15,), (16,)),
        ("django", "bcrypt_sha256$" + bcrypt_of(KEY).replace("$04$", "${}$"), (15,), (16,)),
        ("django", pbkdf2_of(KEY).replace("$1000$", "${}$"), (10_000_000,), (10_000_001,)),
        ("argon2", ARGON2, (262_144, 4, 1), (262_144, 5, 1)),
        ("argon2", ARGON2, (262_144, 1, 1), (262_145, 1, 1)),
        ("argon2", ARGON2, (8, 64, 1), (8, 65, 1)),
        ("argon2", ARGON2, (65_536, 4, 16), (65_536, 4, 17)),
        ("django", "argon2" + ARGON2, (102_400, 2, 8), (102_400, 11, 8)),
        ("django", SCRYPT, (131_072, 16, 4), (131_072, 16, 5)),
        ("django", SCRYPT, (131_072, 16, 1), (131_072, 17, 1)),
        ("django", SCRYPT, (2_097_152, 1, 4), (4_194_304, 1, 1)),
    ],
    ids=[
        *("bcrypt", "bcrypt_sha256", "pbkdf2", "passes", "memory", "short passes", "lanes", "django's argon2"),
        *("scrypt", "memory of scrypt", "rounds of scrypt"),
    ],
)
def test_a_hash_that_costs_too_much_is_refused(algorithm, hashed, most, more):
    assert refusal_of(algorithm, hashed.format(*(f"{part:02}" for part in most))) is None
    too_much = hashed.format(*(f"{part:02}" for part in more))
    assert refusal_of(algorithm, too_much) == "checking this hash would cost too much"


@pytest.mark.parametrize("algorithm", ["bcrypt", "argon2", "django"])
def test_a_hash_is_as_short_as_hashes_are(algorithm):
    for hashed in ("argon2" + ARGON2, ARGON2, bcrypt_of(KEY), SCRYPT, pbkdf2_of(KEY)):
        longer = hashed.format(8, 1, 1) + "A" * 512
        assert refusal_of(algorithm, longer) == f"not a hash of {algorithm} that is known here"


@pytest.mark.parametrize("hashed", ["", "x", "$2b$", "argon2$x", "bcrypt$x", "scrypt$a$b", "pbkdf2_md5$1$a$b"])
@pytest.mark.parametrize("algorithm", ["bcrypt", "argon2", "django"])
def test_another_text_is_not_a_hash(algorithm, hashed):
    assert refusal_of(algorithm, hashed) == f"not a hash of {algorithm} that is known here"
    assert not matches(algorithm, hashed, KEY)


def test_a_hash_that_its_library_refuses_matches_nothing():
    assert not matches("bcrypt", bcrypt_of(KEY).replace("$04$", "$03$"), KEY)
    assert not matches("django", scrypt_of(KEY).replace("$16$", "$15$"), KEY)
    assert not matches("argon2", argon2_of(KEY).replace("m=64", "m=1"), KEY)


async def load(server, *hashes: tuple[str, str], lookup: str = KEY[:12], **columns: str) -> list[str]:
    """Import keys with slow hashes."""
    issuer = server.app.issuer
    rows = [
        read_row({"algorithm": algorithm, "hash": hashed, "lookup": lookup, "name": "slow"} | columns)
        for algorithm, hashed in hashes
    ]
    now = server.clock()
    made = await issuer.ledger.run(
        lambda store: import_keys(store, issuer.secrets, rows, now, random=os.urandom, actor=Actor("test"))
    )
    await issuer.verification.observe(now)
    return [each.key_id for each in made]


async def exchange(server, text: str, address: str | None = None):
    return await server.app.issuer.exchange(text, PLAIN_REQUEST, address, server.clock())


@pytest.mark.anyio
@pytest.mark.parametrize("kind", HASHES)
async def test_the_first_use_of_a_key_puts_a_fast_digest_in_the_place_of_its_slow_hash(server, kind):
    algorithm, make = HASHES[kind]
    [key_id] = await load(server, (algorithm, make(KEY)))

    await exchange(server, KEY)
    await exchange(server, KEY)

    [slow] = await server.app.issuer.ledger.read(lambda store: store.slow_hashes(KEY[:12]))
    key = await server.app.issuer.ledger.read(lambda store: store.key(key_id))
    assert slow.algorithm == "used"
    assert [(secret.n, secret.created_at) for secret in key.secrets] == [(0, server.clock())]
    proven = await server.app.issuer.authentication.prove(KEY, None, server.clock())
    assert (proven.key, proven.secret) == (key, key.secrets[0])


@pytest.mark.anyio
async def test_a_wrong_key_that_begins_alike_is_refused_and_changes_nothing(server):
    await load(server, ("bcrypt", bcrypt_of(KEY)))

    with pytest.raises(InvalidCredentials) as refused:
        await exchange(server, KEY + "x")

    assert refused.value.reason is None
    await exchange(server, KEY)


@pytest.mark.anyio
async def test_of_keys_that_begin_alike_each_is_proven_by_its_own_hash(server):
    other = KEY[:12] + "another one with this beginning".replace(" ", "-")
    first, second = await load(server, ("bcrypt", bcrypt_of(KEY)), ("django", pbkdf2_of(other)))

    proven = [await server.app.issuer.prove(text, None, server.clock()) for text in (other, KEY, other)]

    assert [each.key.key_id for each in proven] == [second, first, second]


@pytest.mark.anyio
async def test_a_key_is_proven_also_if_another_with_a_shorter_look_up_part_begins_alike(server):
    [longer] = await load(server, ("bcrypt", bcrypt_of(KEY)), lookup=KEY[:14])
    [shorter] = await load(server, ("bcrypt", bcrypt_of(OTHER)), lookup=KEY[:8])

    proven = [await server.app.issuer.prove(text, None, server.clock()) for text in (KEY, OTHER)]

    assert [each.key.key_id for each in proven] == [longer, shorter]


@pytest.mark.anyio
async def test_many_first_uses_at_once_all_succeed(server):
    await load(server, ("bcrypt", bcrypt_of(KEY)))

    await asyncio.gather(*(exchange(server, KEY) for _ in range(50)))


@pytest.mark.anyio
async def test_a_caller_who_leaves_leaves_the_turn_to_others(server):
    await load(server, ("bcrypt", bcrypt_of(KEY)))
    leaving = asyncio.ensure_future(exchange(server, KEY))
    await asyncio.sleep(0.01)
    leaving.cancel()

    await exchange(server, KEY)


@pytest.mark.anyio
async def test_an_address_that_guesses_too_much_costs_no_slow_hash(start):
    server = await start(exchange_limit=3)
    await load(server, ("bcrypt", bcrypt_of(KEY)))
    for _ in range(3):
        with pytest.raises(InvalidCredentials):
            await exchange(server, nobodys_key(), "192.0.2.1")

    with pytest.raises(Throttled):
        await exchange(server, KEY, "192.0.2.1")
    with pytest.raises(InvalidCredentials):
        await server.app.issuer.prove(KEY, "192.0.2.1", server.clock())
    await exchange(server, KEY, "192.0.2.2")


@pytest.mark.anyio
async def test_who_has_no_turn_within_a_second_is_told_to_come_back(server):
    await load(server, ("bcrypt", bcrypt_of(KEY)))
    slow = server.app.issuer.authentication._slow
    began = time.monotonic()

    async with slow.turn(KEY[:12]), slow.turn("another"):
        with pytest.raises(Unavailable) as told:
            await exchange(server, KEY)

    assert 0.9 < time.monotonic() - began < 5
    assert told.value.retry_after == 1
    await exchange(server, KEY)


@pytest.mark.anyio
async def test_a_crowd_that_waits_for_turns_is_bounded(server):
    slow = server.app.issuer.authentication._slow

    async def take():
        async with slow.turn("x"):
            pass

    async with slow.turn("x"):
        waiting = [asyncio.ensure_future(take()) for _ in range(WAITING + 1)]
        await asyncio.sleep(0.01)
        refused = [task for task in waiting if task.done()]

    assert [type(task.exception()) for task in refused] == [Unavailable]
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.anyio
async def test_keys_of_ours_are_not_held_up_by_slow_hashes(server):
    await load(server, ("bcrypt", bcrypt_of(KEY)))
    own = await server.create_key()

    async with server.app.issuer.authentication._slow.turn(KEY[:12]):
        await asyncio.wait_for(exchange(server, own), 0.5)
