"""`hourpass signing-keys withdraw`: every token of a compromised key is refused, and signing goes on."""

import json
import os
import pty
import subprocess
import time

import httpx2
import pytest
from tests.cli.test_signing_keys import FACTS, NOW, POLICY, Vault
from tests.conftest import HOURPASS
from tests.verifier.conftest import refuses, until

from hourpass.core.actor import Actor
from hourpass.core.errors import NotFound
from hourpass.core.policy import HOUR, MINUTE, SECOND
from hourpass.server.keys.signing_keys import withdraw_signing_key
from hourpass.server.store import transaction
from hourpass.verifier import Verifier


class Withdrawing(Vault):
    """A vault whose keys are `first` and, once it has been rotated, `second`."""

    def __init__(self, folder) -> None:
        super().__init__(folder, "ES256")
        self.first = self.loaded().pair(NOW).kid

    def withdraw(self, kid: str, now: int):
        with transaction(self.store):
            return withdraw_signing_key(self.store, self.master, kid, now, POLICY, os.urandom, actor=Actor("cli:ada"))

    def verifying(self, now: int) -> set[str]:
        return {key.kid for key in self.loaded().verification_keys(now).values()}


@pytest.fixture
def vault(tmp_path):
    vault = Withdrawing(tmp_path)
    yield vault
    vault.store.close()


def test_a_fresh_key_signs_at_once_in_the_place_of_one_that_signs(vault):
    fresh = vault.withdraw(vault.first, NOW + MINUTE)

    assert fresh is not None
    assert (fresh.published_at, fresh.signs_from, fresh.retired_at) == (NOW + MINUTE, NOW + MINUTE, None)
    assert vault.loaded().pair(NOW + MINUTE).kid == fresh.kid
    assert vault.verifying(NOW + MINUTE) == {fresh.kid}


def test_during_a_rotation_the_fresh_key_signs_until_the_waiting_one_does(vault):
    second = vault.rotate(NOW)

    fresh = vault.withdraw(vault.first, NOW + MINUTE)

    assert fresh is not None
    assert fresh.retired_at == second.signs_from
    assert vault.loaded().pair(second.signs_from - 1).kid == fresh.kid
    assert vault.loaded().pair(second.signs_from).kid == second.kid


def test_a_waiting_key_is_replaced_and_the_handover_comes_when_it_was_planned(vault):
    second = vault.rotate(NOW)

    fresh = vault.withdraw(second.kid, NOW + MINUTE)

    assert fresh is not None
    assert vault.loaded().pair(second.signs_from - 1).kid == vault.first
    assert vault.loaded().pair(second.signs_from).kid == fresh.kid
    assert vault.verifying(NOW + MINUTE) == {vault.first, fresh.kid}


@pytest.mark.parametrize("after", [10 * MINUTE, 2 * HOUR], ids=["it verifies", "it is gone"])
def test_a_key_that_has_retired_needs_no_stand_in(vault, after):
    second = vault.rotate(NOW)

    assert vault.withdraw(vault.first, NOW + after) is None
    assert vault.verifying(NOW + after) == {second.kid}
    assert vault.loaded().pair(NOW + after).kid == second.kid


@pytest.mark.parametrize("whose", ["first", "second"])
def test_at_every_boundary_of_a_rotation_exactly_one_key_signs(vault, whose):
    second = vault.rotate(NOW)
    fresh = vault.withdraw(vault.first if whose == "first" else second.kid, NOW + MINUTE)

    assert fresh is not None
    for instant in (NOW + MINUTE, second.signs_from - 1, second.signs_from, second.signs_from + 1, NOW + 48 * HOUR):
        assert vault.states(instant).count("signing") == 1


def test_the_private_half_is_gone_from_the_database(vault):
    vault.withdraw(vault.first, NOW)

    with transaction(vault.store):
        assert vault.first not in {stored.key.kid for stored in vault.store.signing_keys()}


def test_an_id_that_no_key_has_is_refused_and_changes_nothing(vault):
    with pytest.raises(NotFound, match="no signing key has the id 'nobody'"):
        vault.withdraw("nobody", NOW)

    assert vault.loaded().pair(NOW).kid == vault.first


def test_the_trail_says_who_withdrew_it_and_what_stands_in(vault):
    fresh = vault.withdraw(vault.first, NOW + SECOND)

    published, withdrawn = vault.trail()[-2:]
    assert fresh is not None
    assert (published.event, published.detail["kid"]) == ("signing_key.published", fresh.kid)
    assert withdrawn.event == "signing_key.withdrawn"
    assert (withdrawn.detail, withdrawn.actor) == ({"kid": vault.first, "stand_in": fresh.kid}, "cli:ada")


# --- The command.


@pytest.fixture
def kid(hourpass, was_started):
    """Of the one signing key."""
    return hourpass.json("signing-keys", "list")[0]["kid"]


def test_with_yes_nobody_is_asked(hourpass, kid):
    said = hourpass.json("signing-keys", "withdraw", kid, "--yes")

    assert said["kid"] == kid
    assert said["stand_in"].keys() == FACTS
    assert [key["kid"] for key in hourpass.json("signing-keys", "list")] == [said["stand_in"]["kid"]]


def test_in_words_it_says_what_signs_now(hourpass, kid):
    result = hourpass("signing-keys", "withdraw", kid, "--yes")

    (fresh,) = hourpass.json("signing-keys", "list")
    assert result.stdout == ""
    assert result.stderr.splitlines()[1:] == [
        f"{kid} is withdrawn: every token that it signed is refused.",
        f"{fresh['kid']} signs in its place from {fresh['signs_from']}.",
    ]


def test_without_a_terminal_it_needs_the_flag_yes(hourpass, kid):
    result = hourpass("signing-keys", "withdraw", kid, code=2, input="y\n")

    assert "nobody is here to confirm: say --yes" in result.stderr
    assert hourpass.json("signing-keys", "list")[0]["kid"] == kid


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)], ids=["yes", "no", "nothing"])
def test_on_a_terminal_it_asks_and_only_a_yes_is_accepted(hourpass, kid, answer, code):
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [HOURPASS, "signing-keys", "withdraw", kid]
    done = subprocess.run(command, env=hourpass.environment, stdin=theirs, capture_output=True, text=True, timeout=30)
    os.close(theirs)
    os.close(ours)

    assert f"Every access token that {kid} signed will be refused. Withdraw it? [y/N]" in done.stderr
    assert done.returncode == code
    assert (hourpass.json("signing-keys", "list")[0]["kid"] != kid) == (code == 0)


def test_an_unknown_id_is_an_error_in_words(hourpass):
    result = hourpass("signing-keys", "withdraw", "nobody", "--yes", code=1)

    assert result.stderr == "hourpass: no signing key has the id 'nobody'\n"


# --- A running server, and a verifier elsewhere.


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def verifier(server):
    with Verifier(issuer=server.url, audience=server.url) as verifier:
        yield verifier


def signing(server, state: str = "signing") -> str:
    keys = json.loads(server.command("signing-keys", "list", "--json").stdout)
    return next(key["kid"] for key in keys if key["state"] == state)


def exchange(server) -> dict[str, str]:
    api_key = server.create_key()["api_key"]
    return httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": api_key}).json()


def forward_auth(server, token: str) -> int:
    return httpx2.get(f"{server.url}/auth/verify", headers={"authorization": f"Bearer {token}"}).status_code


def test_the_server_and_a_verifier_refuse_its_tokens_and_a_refresh_heals(server, verifier):
    """The server does within a second. The verifier learns of the new key by the feed's next answer, which it signs."""
    pair = exchange(server)
    old = pair["access_token"]
    assert (verifier.verify(old).iss, forward_auth(server, old)) == (server.url, 204)

    kid = signing(server)
    server.command("signing-keys", "withdraw", kid, "--yes")
    began = time.monotonic()

    assert until(lambda: forward_auth(server, old) == 401) < 1
    assert kid not in httpx2.get(f"{server.url}/.well-known/jwks.json").text
    until(lambda: refuses(verifier, old, "signature"), 15)
    assert time.monotonic() - began < 10, "half the staleness budget, and a fetch"
    fresh = httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]}).json()
    assert (verifier.verify(fresh["access_token"]).iss, forward_auth(server, fresh["access_token"])) == (
        server.url,
        204,
    )


def test_a_verifier_that_meets_a_token_of_the_stand_in_learns_of_both_at_once(server, verifier):
    pair = exchange(server)
    verifier.verify(pair["access_token"])
    kid = signing(server)
    server.command("signing-keys", "withdraw", kid, "--yes")
    until(lambda: forward_auth(server, pair["access_token"]) == 401)
    fresh = httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]}).json()

    began = time.monotonic()
    assert verifier.verify(fresh["access_token"]).iss == server.url
    assert refuses(verifier, pair["access_token"], "signature")
    assert time.monotonic() - began < 2
