"""`hourpass refresh`: once if due, and an exit code that a job's watcher can act on."""

import time

import pytest

from hourpass.client.refresh.cache import FileCache


def test_the_first_run_fills_the_cache(user):
    assert user("refresh", "--if-due").stdout == ""
    assert user.cached["number"] == 1


def test_a_run_that_is_not_due_changes_nothing_and_needs_no_server(holder, server):
    before = holder.cached
    server.kill()
    holder("refresh", "--if-due")

    assert holder.cached == before


def test_a_run_that_is_not_due_does_not_wait_for_its_splay(holder):
    began = time.monotonic()
    holder("refresh", "--if-due", "--splay", "3600")

    assert time.monotonic() - began < 30


def test_a_run_past_soft_refreshes(holder):
    """stay-authenticated.md: a refresh is due from 65 to 75 % of the lifetime."""
    holder.age(2700)
    holder("refresh", "--if-due")

    assert holder.cached["number"] == 2
    assert holder.cached["exchanged_at"] < holder.cached["issued_at"]


def test_without_if_due_a_fresh_token_is_refreshed_too(holder):
    holder("refresh")

    assert holder.cached["number"] == 2


def test_code_10_still_valid_but_the_refresh_failed(holder, server):
    holder.age(3000)
    server.kill()

    assert "no connection" in holder("refresh", "--if-due", "--timeout", "2", code=10).stderr


@pytest.mark.parametrize("age", [3528, 4000], ids=["past hard", "expired"])
def test_code_20_no_valid_token(holder, server, age):
    holder.age(age)
    server.kill()

    holder("refresh", "--if-due", "--timeout", "0.2", code=20)


@pytest.mark.parametrize("age", [3000, 4000], ids=["while the token is valid", "after it expired"])
def test_code_30_login_required_is_said_at_once(holder, server, age):
    holder.age(age)
    server.command("keys", "revoke", holder.key_id)

    assert "does not accept the API key" in holder("refresh", "--if-due", code=30).stderr


def test_code_40_the_lock_is_held_for_too_long(holder):
    holder.age(4000)
    with FileCache(holder.cache_file).lock(1):
        holder("refresh", "--if-due", "--timeout", "0.2", code=40)


def test_code_10_comes_before_40_while_the_token_is_valid(holder):
    holder.age(3000)
    with FileCache(holder.cache_file).lock(1):
        assert "holds" in holder("refresh", "--if-due", "--timeout", "0.2", code=10).stderr


@pytest.mark.parametrize(("age", "code"), [(3000, 10), (4000, 20)], ids=["still valid", "expired"])
def test_a_token_that_cannot_be_kept_is_a_failure(holder, age, code):
    """Others read the cache: a token that is not there is not refreshed."""
    holder.age(age)
    holder.folder.chmod(0o777)

    assert "cannot be written" in holder("refresh", "--if-due", code=code).stderr


def test_a_dead_refresh_token_heals_from_the_key(holder, server):
    """If the refresh token is refused, the API key is exchanged, and the command says so."""
    holder.age(4000)
    grant = server.command("grants", "list", "--json").stdout.split('"grant_id": "')[1].split('"')[0]
    server.command("grants", "revoke", grant)
    result = holder("refresh", "--if-due", "--quiet")

    assert "the refresh token was refused, so the API key was exchanged" in result.stderr
    assert holder.cached["number"] == 2
    assert holder.cached["exchanged_at"] == holder.cached["issued_at"]


def test_quiet_says_nothing_unless_something_is_wrong(holder, server):
    assert holder("refresh", "--if-due", "--quiet").stderr == ""
    holder.age(4000)
    server.kill()
    assert holder("refresh", "--if-due", "--quiet", "--timeout", "0.2", code=20).stderr != ""
