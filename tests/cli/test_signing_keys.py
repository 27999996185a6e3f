"""`hourpass signing-keys`: never two that wait, never a moment without one that signs."""

import json
import os
import subprocess
import time

import httpx2
import pytest
from tests.conftest import HOURPASS

from hourpass.core.actor import Actor
from hourpass.core.errors import RotationUnderWay
from hourpass.core.policy import HOUR, LEEWAY, MINUTE, SECOND, Policy
from hourpass.core.signing_key import signing_key_state
from hourpass.server.keys.master_key import load_master_key
from hourpass.server.keys.signing_keys import SigningKeys, prepare, rotate_signing_key
from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore

NOW = 1_800_000_000_000
POLICY = Policy(access_token_lifetime=HOUR, publish_ahead=10 * MINUTE)
FACTS = {"kid", "algorithm", "state", "published_at", "signs_from", "retired_at", "verifies_until"}


class Vault:
    """A database with its first signing key, and the rotation as the command does it."""

    def __init__(self, folder, algorithm) -> None:
        self.store = SqliteStore(folder / "hourpass.db")
        self.store.migrate(NOW)
        self.master = load_master_key(None, folder, {}, create=True)
        with transaction(self.store):
            prepare(self.store, self.master, algorithm, NOW, POLICY, os.urandom, serving=True)

    def rotate(self, now: int):
        with transaction(self.store):
            return rotate_signing_key(self.store, self.master, now, POLICY, os.urandom, actor=Actor("cli:ada"))

    def loaded(self) -> SigningKeys:
        with transaction(self.store):
            return SigningKeys(self.store.signing_keys(), self.master, POLICY)

    def states(self, now: int) -> list[str]:
        with transaction(self.store):
            return [signing_key_state(stored.key, now, POLICY) for stored in self.store.signing_keys()]

    def trail(self) -> list:
        with transaction(self.store):
            return self.store.audit_after(0, 100)


@pytest.fixture
def vault(tmp_path, request):
    vault = Vault(tmp_path, getattr(request, "param", "ES256"))
    yield vault
    vault.store.close()


def test_the_new_key_signs_from_exactly_the_publication_lead(vault):
    first = vault.loaded().pair(NOW).kid
    new = vault.rotate(NOW)

    assert (new.published_at, new.signs_from, new.retired_at) == (NOW, NOW + 10 * MINUTE, None)
    assert vault.loaded().pair(NOW + 10 * MINUTE - 1).kid == first
    assert vault.loaded().pair(NOW + 10 * MINUTE).kid == new.kid


def test_the_old_key_verifies_until_its_last_token_has_expired(vault):
    vault.rotate(NOW)
    gone = NOW + 10 * MINUTE + HOUR + LEEWAY

    assert vault.states(NOW + 10 * MINUTE - 1) == ["signing", "published"]
    assert vault.states(gone - 1) == ["verify_only", "signing"]
    assert vault.states(gone) == ["gone", "signing"]
    assert len(vault.loaded().verification_keys(gone - 1)) == 2
    assert len(vault.loaded().verification_keys(gone)) == 1


def test_a_rotation_is_refused_until_exactly_the_instant_at_which_the_last_one_signs(vault):
    waiting = vault.rotate(NOW)

    with pytest.raises(
        RotationUnderWay, match=f"signing key {waiting.kid} is waiting already: it signs in 1 s"
    ) as early:
        vault.rotate(waiting.signs_from - 1)
    assert early.value.retry_after == 1

    assert vault.rotate(waiting.signs_from).signs_from == waiting.signs_from + 10 * MINUTE


def test_a_refused_rotation_changes_nothing(vault):
    vault.rotate(NOW)
    before = vault.loaded().pairs.keys()
    with pytest.raises(RotationUnderWay):
        vault.rotate(NOW + SECOND)

    assert vault.loaded().pairs.keys() == before


def test_through_many_rotations_exactly_one_key_signs_at_every_boundary(vault):
    boundaries = [NOW]
    for _ in range(5):
        boundaries.append(vault.rotate(boundaries[-1]).signs_from)

    for instant in (at + shift for at in boundaries for shift in (-1, 0, 1) if at + shift >= NOW):
        assert vault.states(instant).count("signing") == 1
        assert vault.loaded().pair(instant)


@pytest.mark.parametrize("vault", ["ES256", "Ed25519", "RS256"], indirect=True)
def test_the_algorithm_stays_as_it_is(vault, request):
    algorithm = request.node.callspec.params["vault"]

    assert vault.rotate(NOW).algorithm == algorithm


def test_the_trail_says_who_rotated_and_that_the_first_key_was_nobodys_decision(vault):
    new = vault.rotate(NOW)

    records = [record for record in vault.trail() if record.event == "signing_key.published"]
    assert [record.actor for record in records] == ["server", "cli:ada"]
    assert records[1].detail["kid"] == new.kid
    assert records[1].detail["signs_from"] == NOW + 10 * MINUTE


def test_list_says_of_each_key_its_state_and_its_instants(hourpass):
    hourpass("signing-keys", "rotate")

    first, second = hourpass.json("signing-keys", "list")

    assert first.keys() == second.keys() == FACTS
    assert (first["state"], second["state"]) == ("signing", "published")
    assert first["retired_at"] == second["signs_from"] > second["published_at"]
    assert second["retired_at"] is None


@pytest.mark.usefixtures("was_started")
def test_the_human_form_of_the_list_is_a_table(hourpass):
    lines = hourpass("signing-keys", "list").stdout.splitlines()

    assert set(lines[0].split()) == FACTS - {"verifies_until"}
    assert lines[1].split()[1:3] == ["ES256", "signing"]


@pytest.mark.usefixtures("was_started")
def test_rotate_answers_the_new_key_and_the_one_that_retires(hourpass):
    (old,) = hourpass.json("signing-keys", "list")

    new = hourpass.json("signing-keys", "rotate")

    assert new.keys() == FACTS | {"retires"}
    assert (new["state"], new["retires"]) == ("published", old["kid"])


def test_a_second_rotation_is_refused_in_words_and_with_exit_1(hourpass):
    kid = hourpass.json("signing-keys", "rotate")["kid"]

    result = hourpass("signing-keys", "rotate", code=1)

    assert result.stdout == ""
    assert result.stderr.startswith(f"hourpass: the signing key {kid} is waiting already: it signs in ")


@pytest.mark.usefixtures("was_started")
def test_of_rotations_at_the_same_moment_exactly_one_happens(hourpass):
    hourpass("signing-keys", "list")
    command = [HOURPASS, "signing-keys", "rotate"]
    both = [subprocess.Popen(command, env=hourpass.environment, stderr=subprocess.PIPE) for _ in range(2)]

    for process in both:
        process.communicate(timeout=30)

    assert sorted(process.returncode for process in both) == [0, 1]
    assert len(hourpass.json("signing-keys", "list")) == 2


@pytest.mark.parametrize(
    ("flags", "state"),
    [((), "gone"), (("--access-token-lifetime", "3h"), "verify_only")],
    ids=["an hour's tokens are over", "three hours' tokens are not"],
)
def test_how_long_a_retired_key_verifies_follows_from_the_tokens_lifetime(hourpass, flags, state):
    async def rotate(server) -> None:
        issuer, now = server.app.issuer, server.clock()
        master = load_master_key(None, hourpass.data, {})
        await issuer.ledger.run(
            lambda store: rotate_signing_key(store, master, now, POLICY, os.urandom, actor=Actor("test"))
        )

    hourpass.with_server(rotate, seconds_ago=2 * 3600)

    assert [key["state"] for key in hourpass.json("signing-keys", "list", *flags)] == [state, "signing"]


def test_a_running_server_publishes_the_key_within_a_second(serve):
    server = serve()
    before = httpx2.get(f"{server.url}/.well-known/jwks.json").json()["keys"]

    new = json.loads(server.command("signing-keys", "rotate", "--json").stdout)
    began = time.monotonic()
    while len(keys := httpx2.get(f"{server.url}/.well-known/jwks.json").json()["keys"]) == 1:
        assert time.monotonic() - began < 5

    assert time.monotonic() - began < 1
    assert {key["kid"] for key in keys} == {before[0]["kid"], new["kid"]}
