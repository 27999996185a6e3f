"""The refresh secret, the pepper and the rotation secret are replaced while nodes run: nobody is refused for a moment.

On both databases, with two nodes where they share one. A node that has not looked yet stands for one that is late.
"""

import os
from types import SimpleNamespace

import pytest
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_imported_keys import TEXT, import_key
from tests.server.test_key_rotation import Installation, installation

from hourpass.core.actor import Actor
from hourpass.core.api_key import key_digest
from hourpass.core.errors import InvalidCredentials, InvalidGrant, InvalidRequest, InvalidToken, RotationUnderWay
from hourpass.core.grant import state_of
from hourpass.core.key_hash import KeyHash
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.policy import SECOND
from hourpass.core.secret_ring import PUBLISH_AHEAD
from hourpass.core.token_request import TokenRequest
from hourpass.jose import RefreshTokens, decode_segment
from hourpass.server.issuing.revoke_introspect import revoke
from hourpass.server.issuing.self_rotation import next_secret
from hourpass.server.keys.replacing import retire_secrets, rotate_secret
from hourpass.server.keys.server_secrets import Secrets

pytestmark = pytest.mark.anyio

installation = installation
AHEAD = PUBLISH_AHEAD / SECOND


async def rotate(there: Installation, kind: str) -> str:
    """As the command does, in a process of its own: no node has looked yet."""
    issuer = there.first.issuer
    there.clock.advance(0.001)

    def work(store):
        own = Secrets(issuer.secrets.master, store.sealed_secrets(), there.clock(), issuer.policy)
        return rotate_secret(store, own, kind, there.clock(), os.urandom, actor=Actor("test"))

    return (await there.run(work)).kid


async def in_use(there: Installation, kind: str) -> str:
    """A new secret that every node uses."""
    kid = await rotate(there, kind)
    await there.observe()
    there.clock.advance(AHEAD)
    await there.observe()
    return kid


async def retire(there: Installation, kind: str) -> list[str]:
    secrets = there.first.issuer.secrets
    policy, now = there.first.issuer.policy, there.clock()
    done = await there.run(
        lambda store: retire_secrets(store, secrets, kind, now, policy, os.urandom, actor=Actor("test"))
    )
    await there.observe()
    return done.kids


async def refresh(app, token: bytes, clock):
    return await app.issuer.refresh(token.decode(), TokenRequest(), None, clock())


def kid_of(token: bytes) -> str:
    return decode_segment(token.split(b".")[0]).split(b'"kid":"')[1].split(b'"')[0].decode()


# Refresh tokens.


async def test_for_a_minute_every_node_still_mints_by_the_old_secret(installation):
    pair = await installation.exchange(await installation.create_key())
    old = kid_of(pair.refresh_token)
    new = await rotate(installation, "refresh")
    await installation.observe()

    installation.clock.advance(AHEAD - 0.001)
    await installation.observe()
    pair = await refresh(installation.first, pair.refresh_token, installation.clock)
    assert kid_of(pair.refresh_token) == old

    installation.clock.advance(0.001)
    await installation.observe()
    pair = await refresh(installation.first, pair.refresh_token, installation.clock)
    # A token says the whole second in which its generation began. The next one is the first that is all the new one's.
    installation.clock.advance(1)
    assert kid_of((await refresh(installation.last, pair.refresh_token, installation.clock)).refresh_token) == new


async def test_a_node_that_has_not_looked_yet_looks_before_it_refuses_a_token(installation):
    """Late by more than the minute: it could not look, and other nodes use the new secret already."""
    api_key = await installation.create_key()
    await rotate(installation, "refresh")
    installation.clock.advance(AHEAD + 1)
    await installation.first.issuer.verification.observe(installation.clock())
    pair = await installation.first.issuer.exchange(api_key, TokenRequest(), None, installation.clock())

    await refresh(installation.last, pair.refresh_token, installation.clock)


async def test_a_retry_gets_the_very_same_token_across_the_change_from_any_node(installation):
    pair = await installation.exchange(await installation.create_key(retry_window=300 * SECOND))
    installation.clock.advance(3_600)
    first = await refresh(installation.first, pair.refresh_token, installation.clock)
    await rotate(installation, "refresh")
    installation.clock.advance(AHEAD)
    await installation.last.issuer.verification.observe(installation.clock())

    again = await refresh(installation.last, pair.refresh_token, installation.clock)

    assert again.refresh_token == first.refresh_token


async def test_a_token_of_the_old_secret_is_good_until_it_expires(installation):
    pair = await installation.exchange(await installation.create_key())
    new = await in_use(installation, "refresh")
    installation.clock.advance(29 * 86_400)
    await installation.observe()

    refreshed = await refresh(installation.last, pair.refresh_token, installation.clock)

    assert kid_of(refreshed.refresh_token) == new


async def test_after_the_longest_life_of_a_grant_the_old_secret_proves_nothing(installation):
    """A thief who has it and the seeds could write any expiry into a token."""
    secrets = installation.last.issuer.secrets
    thief = secrets.refresh_tokens(installation.last.issuer.url)
    secrets._refresh_tokens.remove(thief)
    api_key = await installation.create_key()
    await in_use(installation, "refresh")
    installation.clock.advance(90 * 86_400)
    await installation.observe()
    pair = await installation.exchange(api_key)
    _, grant = await installation.last.issuer.look_up(pair.refresh_token.decode(), installation.clock())
    forged = thief.mint(grant, grant.generation_at // 1_000)

    with pytest.raises(InvalidGrant) as refused:
        await refresh(installation.last, forged, installation.clock)
    assert refused.value.reason == "malformed"


def thief_of(there: Installation) -> RefreshTokens:
    """What somebody can do who copied the database and the master key at this moment."""
    issuer = there.first.issuer
    return RefreshTokens(issuer.secrets.refresh, issuer=issuer.url, audience=f"{issuer.url}/auth/refresh")


async def refused(there: Installation, token: bytes) -> str:
    with pytest.raises(InvalidGrant) as refused:
        await refresh(there.last, token, there.clock)
    return refused.value.reason


async def test_a_thief_who_refreshed_between_the_new_secret_and_the_retirement_keeps_nothing(installation):
    api_key = await installation.create_key()
    owned = await installation.exchange(api_key)
    stolen = await installation.exchange(api_key)
    _, grant = await installation.last.issuer.look_up(owned.refresh_token.decode(), installation.clock())
    thief = thief_of(installation)
    new = await in_use(installation, "refresh")

    forged = thief.mint(grant, grant.generation_at // SECOND)
    loot = [await refresh(installation.last, token, installation.clock) for token in (forged, stolen.refresh_token)]
    installation.clock.advance(1)
    loot = [await refresh(installation.last, each.refresh_token, installation.clock) for each in loot]
    assert {kid_of(each.refresh_token) for each in loot} == {new}
    assert len(await retire(installation, "refresh")) == 2

    for token in (forged, stolen.refresh_token, owned.refresh_token, *(each.refresh_token for each in loot)):
        assert await refused(installation, token) == "malformed"
    for each in (owned, *loot):
        with pytest.raises(InvalidToken, match="revoked"):
            installation.last.issuer.verification.verify(each.access_token, installation.clock())


async def test_an_access_token_of_a_node_that_learned_of_the_retirement_a_second_late_is_refused(installation):
    pair = await installation.exchange(await installation.create_key())
    await in_use(installation, "refresh")
    issuer, clock = installation.first.issuer, installation.clock
    policy, now = issuer.policy, clock()
    await installation.run(
        lambda store: retire_secrets(store, issuer.secrets, "refresh", now, policy, os.urandom, actor=Actor("test"))
    )
    clock.advance(0.999)
    late = await refresh(installation.last, pair.refresh_token, clock)
    await installation.observe()

    with pytest.raises(InvalidToken, match="revoked"):
        installation.last.issuer.verification.verify(late.access_token, clock())
    assert await refused(installation, late.refresh_token) == "malformed"


async def test_after_the_retirement_clients_exchange_their_keys_and_go_on(installation):
    api_key = await installation.create_key()
    await installation.exchange(api_key)
    await in_use(installation, "refresh")
    await retire(installation, "refresh")
    installation.clock.advance(2)

    pair = await installation.exchange(api_key)
    pair = await refresh(installation.last, pair.refresh_token, installation.clock)

    installation.last.issuer.verification.verify(pair.access_token, installation.clock())
    [first, second] = await installation.trail("secret.retired")
    assert first["issued_before"] == second["issued_before"] == installation.clock() // SECOND
    assert [event["kind"] for event in await installation.trail("secret.rotated")] == ["refresh", "refresh"]


async def test_a_grant_from_before_the_retirement_is_shown_as_ended_and_not_counted_as_live(installation):
    api_key = await installation.create_key()
    before = await installation.exchange(api_key)
    await in_use(installation, "refresh")
    _, old = await installation.last.issuer.look_up(before.refresh_token.decode(), installation.clock())
    assert await installation.run(lambda store: store.count_live_grants(installation.clock())) == 1
    await retire(installation, "refresh")
    after = await installation.exchange(api_key)
    _, new = await installation.last.issuer.look_up(after.refresh_token.decode(), installation.clock())

    key = await installation.run(lambda store: store.key(key_id_of(api_key)))
    since = installation.last.issuer.secrets.refresh_since
    assert [state_of(each, key, installation.clock(), since) for each in (old, new)] == ["ended", "live"]


async def test_it_ends_them_although_the_command_does_not_know_how_long_a_grant_lives(installation):
    pair = await installation.exchange(await installation.create_key())
    await in_use(installation, "refresh")
    installation.clock.advance(1)
    pair = await refresh(installation.last, pair.refresh_token, installation.clock)
    issuer, now = installation.first.issuer, installation.clock()
    policy = issuer.policy._replace(absolute_lifetime=1)

    def work(store):
        own = Secrets(issuer.secrets.master, store.sealed_secrets(), now, policy)
        return retire_secrets(store, own, "refresh", now, policy, os.urandom, actor=Actor("test"))

    await installation.run(work)
    await installation.observe()

    assert await refused(installation, pair.refresh_token) == "malformed"


async def test_once_all_tokens_of_the_old_secret_have_expired_retiring_it_ends_nothing(installation):
    api_key = await installation.create_key()
    await in_use(installation, "refresh")
    installation.clock.advance(90 * 86_400)
    await installation.observe()
    pair = await installation.exchange(api_key)

    assert len(await retire(installation, "refresh")) == 1

    pair = await refresh(installation.last, pair.refresh_token, installation.clock)
    installation.last.issuer.verification.verify(pair.access_token, installation.clock())


async def test_a_token_of_an_invented_secret_is_malformed(installation):
    pair = await installation.exchange(await installation.create_key())
    head, rest = pair.refresh_token.split(b".", 1)
    invented = head[:-4] + b"xxxx." + rest

    with pytest.raises(InvalidGrant) as refused:
        await refresh(installation.last, invented, installation.clock)
    assert refused.value.reason == "malformed"
    await revoke(installation.last.issuer, invented.decode(), installation.clock())


# The pepper.


async def stored(there: Installation, api_key: str) -> tuple[bytes, str | None]:
    [secret] = await there.secrets(api_key)
    return secret.digest, secret.pepper


async def test_a_digest_moves_at_the_first_use_of_its_key(installation):
    used, unused = await installation.create_key(), await installation.create_key()
    new = await in_use(installation, "pepper")

    await installation.exchange(used)
    await installation.last.issuer.authentication.moves.keep()

    digest = key_digest(installation.first.issuer.secrets.pepper.secret, used)
    assert await stored(installation, used) == (digest, new)
    assert (await stored(installation, unused))[1] == "1"
    await installation.exchange(used)
    await installation.exchange(unused)


async def test_until_then_nobody_waits_for_the_move_and_the_key_is_good_again_and_again(installation):
    api_key = await installation.create_key()
    await in_use(installation, "pepper")

    for _ in range(3):
        await installation.exchange(api_key)
    assert (await stored(installation, api_key))[1] == "1"


async def test_an_exchange_that_was_proven_before_the_move_opens_its_grant_after_it(installation):
    """Between the two, another caller's proof has moved the digest."""
    api_key = await installation.create_key()
    await in_use(installation, "pepper")
    issuer, now = installation.last.issuer, installation.clock()
    proven = await issuer.prove(api_key, None, now)
    await installation.exchange(api_key)
    await issuer.authentication.moves.keep()

    await issuer.open(proven, TokenRequest(), None, now)


async def test_moving_a_digest_makes_no_node_forget_all_its_keys(installation):
    api_key = await installation.create_key()
    await in_use(installation, "pepper")
    before = await installation.run(lambda store: store.control().version)

    await installation.exchange(api_key)
    await installation.last.issuer.authentication.moves.keep()

    assert await installation.run(lambda store: store.control().version) == before


async def test_once_moved_a_key_that_is_remembered_is_proven_without_another_look(installation):
    api_key = await installation.create_key()
    await in_use(installation, "pepper")
    await installation.exchange(api_key)
    moves = installation.last.issuer.authentication.moves
    await moves.keep()

    await installation.exchange(api_key)

    assert not moves._noted


async def test_a_new_key_is_under_the_new_pepper_only_when_every_node_knows_it(installation):
    new = await rotate(installation, "pepper")
    await installation.first.issuer.verification.observe(installation.clock())
    early = await installation.create_key()
    await installation.exchange(early)
    installation.clock.advance(AHEAD)
    await installation.first.issuer.verification.observe(installation.clock())
    late = await installation.create_key()

    assert [(await stored(installation, key))[1] for key in (early, late)] == ["1", new]
    # The last node has not looked since: it looks before it refuses a key under a pepper that it does not know.
    await installation.exchange(late)


async def test_an_imported_key_is_found_by_either_pepper_and_moves(installation):
    issuer = installation.first.issuer
    texts = [TEXT, f"{TEXT}-hashed"]
    later = lambda seconds: installation.observe()
    server = SimpleNamespace(app=installation.first, clock=installation.clock, later=later)
    await import_key(server, texts[0])
    await import_key(server, texts[1], hashed_by=KeyHash("sha256"), key_id="imported0002")
    new = await in_use(installation, "pepper")

    for _ in range(2):
        for text in texts:
            await installation.exchange(text)
        await installation.last.issuer.authentication.moves.keep()

    keys = await issuer.ledger.read(lambda store: store.keys_of_ids(["imported0001", "imported0002"]))
    assert {secret.pepper for key in keys.values() for secret in key.secrets} == {new}


async def test_strangers_and_guesses_are_refused_under_two_peppers(installation):
    api_key = await installation.create_key()
    await in_use(installation, "pepper")

    for wrong in (nobodys_key(), other_secret(api_key), "sk_live_nobodys0000000000"):
        with pytest.raises(InvalidCredentials) as refused:
            await installation.exchange(wrong)
        assert refused.value.reason is None


async def test_retiring_ends_the_keys_that_were_not_used_since(installation):
    used, unused = await installation.create_key(), await installation.create_key()
    await in_use(installation, "pepper")
    await installation.exchange(used)
    await installation.last.issuer.authentication.moves.keep()

    assert await retire(installation, "pepper") == ["1"]

    await installation.exchange(used)
    assert await installation.refused_as(unused) is None
    await installation.exchange(await installation.rotate(unused))


async def test_both_secrets_of_a_key_that_rotates_move_each_at_its_own_use(installation):
    old = await installation.create_key()
    new = await installation.rotate(old, overlap=3_600 * SECOND)
    kid = await in_use(installation, "pepper")
    moves = installation.last.issuer.authentication.moves

    await installation.exchange(old)
    await moves.keep()
    await installation.exchange(new)
    await moves.keep()
    await installation.exchange(old)

    assert [secret.pepper for secret in await installation.secrets(old)] == [kid, kid]
    installation.clock.advance(3_601)
    await installation.observe()
    assert await installation.refused_as(old) == "rotated"


async def test_the_first_use_of_a_next_secret_is_noted_although_its_digest_moves_at_the_same_time(installation):
    old = await installation.create_key()
    new = await installation.rotate(old)
    await in_use(installation, "pepper")
    issuer, now = installation.last.issuer, installation.clock()
    proven = await issuer.prove(new, None, now)
    await issuer.authentication.moves.keep()

    await issuer.answers(proven, now)

    assert [secret.first_used_at for secret in await installation.secrets(old)] == [None, now]
    await installation.exchange(new)


async def test_a_leak_that_was_told_is_not_told_again_under_the_new_digest(installation):
    api_key = await installation.create_key()
    digest, _ = await stored(installation, api_key)
    await installation.run(lambda store: store.note_leak(digest, key_id_of(api_key), installation.clock()))
    await in_use(installation, "pepper")
    await installation.exchange(api_key)
    await installation.last.issuer.authentication.moves.keep()

    moved, _ = await stored(installation, api_key)
    assert not await installation.run(lambda store: store.note_leak(moved, key_id_of(api_key), installation.clock()))


# The rotation secret.


async def ask(there: Installation, app, api_key: str) -> str:
    return await next_secret(app.issuer, api_key, None, there.clock())


async def test_the_same_question_has_the_same_answer_across_the_change(installation):
    api_key = await installation.create_key(self_rotation=True)
    answer = await ask(installation, installation.first, api_key)

    await in_use(installation, "rotation")
    assert await ask(installation, installation.last, api_key) == answer
    await in_use(installation, "pepper")
    assert await ask(installation, installation.last, api_key) == answer


async def test_a_new_answer_is_derived_by_the_new_secret(installation):
    api_key = await installation.create_key(self_rotation=True)
    await in_use(installation, "rotation")
    answer = await ask(installation, installation.first, api_key)

    await retire(installation, "rotation")

    assert await ask(installation, installation.last, api_key) == answer
    await installation.exchange(answer)


async def test_after_the_old_one_is_retired_a_lost_answer_is_replaced_by_another(installation):
    api_key = await installation.create_key(self_rotation=True)
    lost = await ask(installation, installation.first, api_key)
    await in_use(installation, "rotation")
    await retire(installation, "rotation")

    answer = await ask(installation, installation.last, api_key)

    assert answer != lost
    await installation.exchange(answer)


async def test_the_old_one_is_gone_after_the_longest_overlap(installation):
    old = installation.first.issuer.secrets.rotation
    await in_use(installation, "rotation")
    installation.clock.advance(MAX_OVERLAP / SECOND)

    assert installation.first.issuer.secrets.state("rotation", old, installation.clock()) == "gone"


# All of them.


@pytest.mark.parametrize("kind", ["refresh", "pepper", "rotation"])
async def test_while_a_new_one_waits_no_other_is_made(installation, kind):
    await rotate(installation, kind)

    with pytest.raises(RotationUnderWay, match="is waiting already: it is used in 60 s"):
        await rotate(installation, kind)
    with pytest.raises(InvalidRequest, match="rotate first"):
        await retire(installation, kind)


@pytest.mark.parametrize("kind", ["refresh", "pepper", "rotation"])
async def test_it_is_a_line_of_the_trail(installation, kind):
    kid = await rotate(installation, kind)

    [event] = await installation.trail("secret.rotated")
    used_from = installation.clock() + PUBLISH_AHEAD
    assert event == {"kind": kind, "kid": kid, "used_from": used_from, "actor": "test", "address": None}
