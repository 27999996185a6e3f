"""`hourpass tokens`: what a token is, whether it counts, and how it ends."""

import pytest

ACCESS_FACTS = {
    "kind",
    "counts",
    "subject",
    "key_id",
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
    "kind",
    "counts",
    "key_id",
    "generation",
    "current_generation",
    "grant_id",
    "idle_expires_at",
    "expires_at",
}


def inspect(hourpass, token: bytes, code: int = 0) -> dict:
    return hourpass.json("tokens", "inspect", token.decode(), code=code)


def test_a_good_access_token_is_explained(hourpass, api_key):
    facts = inspect(hourpass, hourpass.exchange(api_key).access_token)

    assert facts.keys() == ACCESS_FACTS
    assert facts["kind"] == "access token"
    assert facts["counts"].startswith("yes, for another 59 min")
    assert facts["key_id"] == api_key.split("_")[2]
    assert facts["scope"] == "videos.read"


@pytest.mark.parametrize(
    ("age", "code", "counts"),
    [(3590, 0, "yes, for another"), (3700, 1, "no: expired 1 min")],
    ids=["in its hour", "after its hour"],
)
def test_an_access_token_counts_for_its_hour_and_the_exit_code_says_so(hourpass, api_key, age, code, counts):
    token = hourpass.exchange(api_key, seconds_ago=age).access_token

    assert inspect(hourpass, token, code)["counts"].startswith(counts)


def test_a_good_refresh_token_is_explained_and_not_used(hourpass, api_key):
    token = hourpass.exchange(api_key).refresh_token

    first, second = inspect(hourpass, token), inspect(hourpass, token)

    assert first.keys() == REFRESH_FACTS
    assert first["kind"] == "refresh token"
    assert first["counts"].startswith("yes, until it is used")
    assert second["generation"] == second["current_generation"] == 0


@pytest.mark.parametrize(
    ("age", "code", "counts"),
    [(30, 0, "yes, as a retry"), (90, 1, "no: using it would be a replay")],
    ids=["within the retry window", "after it"],
)
def test_a_superseded_refresh_token_counts_within_its_window(hourpass, api_key, age, code, counts):
    token = hourpass.exchange(api_key, seconds_ago=age).refresh_token
    hourpass.refresh(token, seconds_ago=age)

    facts = inspect(hourpass, token, code)

    assert facts["counts"].startswith(counts)
    assert (facts["generation"], facts["current_generation"]) == (0, 1)


def test_inspecting_a_replay_does_not_revoke_the_grant(hourpass, api_key):
    old = hourpass.exchange(api_key, seconds_ago=90).refresh_token
    current = hourpass.refresh(old, seconds_ago=90).refresh_token

    inspect(hourpass, old, code=1)

    assert inspect(hourpass, current)["counts"].startswith("yes")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "hp_production_x", "é"])
def test_what_this_server_did_not_make_is_unknown(hourpass, token):
    facts = hourpass.json("tokens", "inspect", token, code=1)

    assert facts == {"kind": "unknown", "counts": "no: this server did not make it"}


def test_a_token_of_another_server_is_unknown(hourpass, api_key, tmp_path):
    pair = hourpass.exchange(api_key)
    elsewhere = ("--data", str(tmp_path / "elsewhere"))
    hourpass("migrate", *elsewhere)

    for token in (pair.access_token, pair.refresh_token):
        assert hourpass.json("tokens", "inspect", token.decode(), *elsewhere, code=1)["kind"] == "unknown"


def test_a_token_can_come_on_stdin_out_of_sight_of_the_process_list(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    assert hourpass.json("tokens", "inspect", "-", input=f"{pair.access_token.decode()}\n")["kind"] == "access token"
    assert hourpass.json("tokens", "revoke", "-", input=pair.refresh_token.decode()) == {"revoked": "grant"}


def test_revoking_an_access_token_ends_that_token_alone(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    assert hourpass.json("tokens", "revoke", pair.access_token.decode()) == {"revoked": "access"}

    assert inspect(hourpass, pair.access_token, code=1)["counts"] == "no: revoked"
    assert inspect(hourpass, pair.refresh_token)["counts"].startswith("yes")


def test_revoking_a_refresh_token_ends_the_grant_and_its_access_tokens(hourpass, api_key):
    pair = hourpass.exchange(api_key)

    result = hourpass("tokens", "revoke", pair.refresh_token.decode())

    assert (result.stdout, result.stderr) == ("", "The grant and its access tokens are revoked.\n")
    assert inspect(hourpass, pair.access_token, code=1)["counts"] == "no: revoked"
    assert inspect(hourpass, pair.refresh_token, code=1)["counts"] == "no: revoked"


def test_a_token_of_a_revoked_key_does_not_count(hourpass, api_key):
    pair = hourpass.exchange(api_key)
    hourpass("keys", "revoke", api_key.split("_")[2])

    assert inspect(hourpass, pair.access_token, code=1)["counts"] == "no: revoked"
    assert inspect(hourpass, pair.refresh_token, code=1)["counts"] == "no: key disabled"


def test_an_expired_access_token_needs_no_revoking(hourpass, api_key):
    token = hourpass.exchange(api_key, seconds_ago=3700).access_token

    result = hourpass("tokens", "revoke", token.decode(), code=1)

    assert result.stderr == "hourpass: the token has expired already\n"


def test_the_human_form_is_one_fact_a_line(hourpass, api_key):
    token = hourpass.exchange(api_key).access_token.decode()

    lines = hourpass("tokens", "inspect", token).stdout.splitlines()

    assert {line.split()[0] for line in lines} == ACCESS_FACTS
    assert token not in "".join(lines)
