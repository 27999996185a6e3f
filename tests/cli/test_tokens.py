"""`hourpass tokens`: what a token is, whether it is valid, and how it ends."""

import os
import re

import pytest
from tests.cli.conftest import ISSUER

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidGrant
from hourpass.server.keys.master_key import load_master_key
from hourpass.server.keys.signing_keys import rotate_signing_key

ACCESS_FACTS = {
    "reason",
    "words",
    "claims",
    "kind",
    "valid",
    "subject",
    "key_id",
    "key_name",
    "scope",
    "environment",
    "issuer",
    "audience",
    "issued_at",
    "expires_at",
    "grant_id",
    "jti",
    "signed_with",
}
REFRESH_FACTS = {
    "reason",
    "words",
    "kind",
    "valid",
    "subject",
    "key_id",
    "key_name",
    "scope",
    "environment",
    "generation",
    "current_generation",
    "grant_id",
    "idle_expires_at",
    "expires_at",
}


def inspect(hourpass, token: bytes, code: int = 0) -> dict:
    return hourpass.json("tokens", "inspect", "-", input=token.decode(), code=code)


def test_a_good_access_token_is_explained(hourpass, api_key):
    facts = inspect(hourpass, hourpass.exchange(api_key).access_token)

    assert facts.keys() == ACCESS_FACTS
    assert facts["kind"] == "access_token"
    assert facts["words"].startswith("yes, for 59 min")
    assert (facts["key_id"], facts["key_name"]) == (api_key.split("_")[2], "test")
    assert facts["scope"] == "videos.read"


@pytest.mark.parametrize(
    ("age", "code", "valid"),
    [(3590, 0, "yes, for "), (3700, 1, "no: it expired 1 min")],
    ids=["in its hour", "after its hour"],
)
def test_an_access_token_is_valid_for_its_hour_and_the_exit_code_says_so(hourpass, api_key, age, code, valid):
    token = hourpass.exchange(api_key, seconds_ago=age).access_token

    assert inspect(hourpass, token, code)["words"].startswith(valid)


def test_a_good_refresh_token_is_explained_and_not_used(hourpass, api_key):
    token = hourpass.exchange(api_key).refresh_token

    first, second = inspect(hourpass, token), inspect(hourpass, token)

    assert first.keys() == REFRESH_FACTS
    assert first["kind"] == "refresh_token"
    assert first["words"].startswith("yes, until it is used")
    assert second["generation"] == second["current_generation"] == 0


@pytest.mark.parametrize(
    ("age", "code", "valid"),
    [(30, 0, "yes, for 2"), (90, 1, "no: it was used before, and using it again would revoke its grant")],
    ids=["within the retry window", "after it"],
)
def test_a_superseded_refresh_token_is_valid_within_its_window(hourpass, api_key, age, code, valid):
    token = hourpass.exchange(api_key, seconds_ago=age).refresh_token
    hourpass.refresh(token, seconds_ago=age)

    facts = inspect(hourpass, token, code)

    assert facts["words"].startswith(valid)
    assert facts["words"].endswith(("s ago and may be retried", "because it may be stolen"))
    assert (facts["generation"], facts["current_generation"]) == (0, 1)


def test_inspecting_a_replay_does_not_revoke_the_grant(hourpass, api_key):
    old = hourpass.exchange(api_key, seconds_ago=90).refresh_token
    current = hourpass.refresh(old, seconds_ago=90).refresh_token

    inspect(hourpass, old, code=1)

    assert inspect(hourpass, current)["words"].startswith("yes")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "é", "\u001b[31m.W10.x"])
@pytest.mark.usefixtures("was_started")
def test_a_text_that_is_not_a_token_is_not_taken_for_that_of_another_server(hourpass, token):
    facts = hourpass.json("tokens", "inspect", "-", input=token, code=1)

    assert facts == {
        "kind": "unknown",
        "valid": False,
        "reason": "strange",
        "words": "no: this is not a token, or a part of it is missing",
    }


def test_of_a_token_of_another_server_the_claimed_issuer_is_shown(hourpass, api_key, tmp_path):
    pair = hourpass.exchange(api_key)
    elsewhere = ("--data", str(tmp_path / "elsewhere"))
    hourpass.create_key(*elsewhere)

    access = hourpass.json("tokens", "inspect", "-", *elsewhere, input=pair.access_token.decode(), code=1)
    refresh = hourpass.json("tokens", "inspect", "-", *elsewhere, input=pair.refresh_token.decode(), code=1)

    assert access == {
        "kind": "access_token",
        "valid": False,
        "reason": "strange",
        "words": "no: it comes from another server, or its signing key was withdrawn",
        "unverified_issuer": ISSUER,
    }
    assert refresh == {
        "kind": "unknown",
        "valid": False,
        "reason": "strange",
        "words": "no: this server did not make it",
        "unverified_issuer": ISSUER,
    }


def test_a_forged_access_token_names_the_key_that_did_not_sign_it(hourpass, api_key):
    token = hourpass.exchange(api_key).access_token
    (key,) = hourpass.json("signing-keys", "list")

    facts = inspect(hourpass, token[:-8] + b"AAAAAAAA", code=1)

    assert (facts["kind"], facts["words"]) == ("access_token", f"no: forged or damaged: {key['kid']} did not sign it")


def test_an_api_key_is_told_from_a_token(hourpass, api_key):
    facts = hourpass.json("tokens", "inspect", "-", input=api_key, code=1)

    assert facts == {
        "kind": "api_key",
        "valid": False,
        "reason": "api_key",
        "words": "no: it looks like an API key, which is not a token. Whether the key is good was not looked up",
    }


def test_inspect_says_how_to_look_up_an_api_key(hourpass, api_key):
    assert "hourpass keys show -" in hourpass("tokens", "inspect", "-", input=api_key, code=1).stderr


def test_a_token_whose_signing_key_is_gone_is_still_explained(hourpass, api_key):
    token = hourpass.exchange(api_key, seconds_ago=30 * 86_400).access_token

    async def rotate(server) -> None:
        issuer, now = server.app.issuer, server.clock()
        master = load_master_key(None, hourpass.data, {})
        policy = issuer.policy
        await issuer.ledger.run(
            lambda store: rotate_signing_key(store, master, now, policy, os.urandom, actor=Actor("test"))
        )

    hourpass.with_server(rotate, seconds_ago=29 * 86_400)

    assert hourpass.json("signing-keys", "list")[0]["state"] == "gone"
    assert inspect(hourpass, token, code=1)["words"].startswith("no: it expired 29 d")


def test_a_token_from_the_future_is_called_that(hourpass, api_key):
    token = hourpass.exchange(api_key, seconds_ago=-600).access_token

    valid = inspect(hourpass, token, code=1)["words"]

    assert re.match(r"no: it was issued 9 min 5\d s in the future", valid)


def test_the_refresh_token_of_a_theft_says_so(hourpass, api_key):
    stolen = hourpass.exchange(api_key, seconds_ago=200).refresh_token
    current = hourpass.refresh(stolen, seconds_ago=200).refresh_token
    with pytest.raises(InvalidGrant):
        hourpass.refresh(stolen)

    assert "used twice: it may be stolen" in inspect(hourpass, current, code=1)["words"]


def test_a_token_can_come_on_stdin_out_of_sight_of_the_process_list(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    assert hourpass.json("tokens", "inspect", "-", input=f"{pair.access_token.decode()}\n")["kind"] == "access_token"
    assert hourpass.json("tokens", "revoke", "-", input=pair.refresh_token.decode()) == {"revoked": "grant"}


def test_revoking_an_access_token_ends_that_token_alone(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    assert hourpass.json("tokens", "revoke", "-", input=pair.access_token.decode()) == {"revoked": "access"}

    assert inspect(hourpass, pair.access_token, code=1)["words"] == "no: it was revoked"
    assert inspect(hourpass, pair.refresh_token)["words"].startswith("yes")


def test_revoking_a_refresh_token_ends_the_grant_and_its_access_tokens(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    result = hourpass("tokens", "revoke", "-", input=pair.refresh_token.decode())

    assert (result.stdout, result.stderr) == (
        "",
        f"Database: {hourpass.name}\nThe grant and its access tokens are revoked.\n",
    )
    assert inspect(hourpass, pair.access_token, code=1)["words"] == "no: its grant was revoked"
    assert inspect(hourpass, pair.refresh_token, code=1)["words"] == "no: its grant was revoked"


def test_a_token_of_a_revoked_key_is_refused(hourpass, api_key):
    pair = hourpass.exchange(api_key)
    hourpass("keys", "revoke", api_key.split("_")[2])

    assert inspect(hourpass, pair.access_token, code=1)["words"] == "no: its API key was revoked"
    assert inspect(hourpass, pair.refresh_token, code=1)["words"] == "no: its API key was revoked"


def test_an_expired_access_token_needs_no_revoking(hourpass, api_key):
    token = hourpass.exchange(api_key, seconds_ago=3700).access_token

    result = hourpass("tokens", "revoke", "-", input=token.decode(), code=1)

    assert result.stderr == "hourpass: the token has expired already\n"


def test_the_human_form_is_one_fact_a_line(hourpass, api_key):
    token = hourpass.exchange(api_key).access_token.decode()

    lines = hourpass("tokens", "inspect", "-", input=token).stdout.splitlines()

    assert {line.split()[0] for line in lines} == ACCESS_FACTS - {"reason", "words"}
    assert token not in "".join(lines)
