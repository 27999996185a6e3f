"""The places that the API key may come from. The argument list is not one of them."""

import json
import subprocess
from base64 import urlsafe_b64decode as b64decode

import pytest
from tests.conftest import HOURPASS


def test_the_key_comes_from_a_file(user):
    assert user.token("--api-key-file", str(user.key_file), env={**user.bare, "HOURPASS_URL": user.url})


def test_the_key_comes_from_a_pipe_that_is_read_once(user):
    """As bash's <(pass show hourpass) names one."""
    command = f'exec {HOURPASS} token --api-key-file <(cat "$1")'
    environment = {name: value for name, value in user.environment.items() if name != "HOURPASS_API_KEY_FILE"}
    done = subprocess.run(
        ["bash", "-c", command, "bash", user.key_file], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == user.cached["access_token"]


def test_the_key_comes_from_a_variable(user):
    assert user.token(env={**user.bare, "HOURPASS_URL": user.url, "HOURPASS_API_KEY": user.api_key})


def test_the_key_comes_from_standard_input(user):
    environment = {**user.bare, "HOURPASS_URL": user.url}

    assert user.token("--api-key-file", "-", env=environment, input=user.api_key + "\n")


def test_the_key_comes_from_a_program(user):
    environment = {**user.bare, "HOURPASS_URL": user.url}

    assert user.token("--api-key-command", f"cat {user.key_file}", env=environment)


def test_the_key_comes_from_a_credential_of_systemd(user, tmp_path):
    """systemd.exec(5), LoadCredential=."""
    (tmp_path / "api-key").write_text(user.api_key)

    assert user.token(env={**user.bare, "HOURPASS_URL": user.url, "CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    "arguments",
    [("--api-key", "{}"), ("--api-key={}",), ("--api-key-file", "{}"), ("--api-key-file={}",), ("{}",)],
    ids=" ".join,
)
def test_a_key_among_the_arguments_is_refused_and_not_repeated(stranger, arguments):
    result = stranger("token", *(argument.format(stranger.api_key) for argument in arguments), code=2)

    assert "treat that API key as leaked" in result.stderr
    assert not stranger.folder.exists()


def test_a_foreign_key_as_an_option_is_refused_and_not_repeated(stranger):
    result = stranger("token", "--api-key", "kR3foreign", code=2)

    assert "treat that API key as leaked" in result.stderr
    assert "kR3foreign" not in result.stderr


def test_a_key_in_place_of_its_file_is_not_repeated(stranger):
    assert "kR3foreign" not in stranger("token", "--api-key-file", "kR3foreign", code=2).stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"a key\nand more", "more than an API key"),
        (b"x" * 5000, "more than an API key"),
        (b"\xff", "more"),
    ],
    ids=["empty", "blank", "two words", "too long", "no text"],
)
def test_a_file_that_holds_no_key_is_told_by_its_name_alone(stranger, content, words):
    stranger.key_file.write_bytes(content)
    result = stranger("token", code=2)

    assert words in result.stderr
    assert str(stranger.key_file) in result.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [("false", "ended with 1"), ("missing-program", "cannot be run"), ("'", "cannot be run"), ("true", "is empty")],
    ids=["fails", "is missing", "cannot be read", "prints nothing"],
)
def test_a_program_that_gives_no_key_is_a_usage_error(stranger, command, words):
    environment = {**stranger.bare, "HOURPASS_URL": stranger.url}

    assert words in stranger("token", "--api-key-command", command, code=2, env=environment).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("token",),
        ("token", "--url", "ftp://127.0.0.1"),
        ("token", "--url", "http://auth.example.com"),
        ("token", "--min-valid", "soon"),
        ("refresh", "--agent", "/run/agent"),
        ("run",),
        ("credential", "svn"),
    ],
    ids=" ".join,
)
def test_code_2_is_wrong_usage(stranger, arguments):
    assert stranger(*arguments, code=2, env=stranger.bare).stdout == ""


def test_a_key_that_is_only_needed_later_is_read_later(user):
    """A token from the cache asks no password store."""
    environment = {**user.bare, "HOURPASS_URL": user.url, "HOURPASS_API_KEY_COMMAND": f"cat {user.key_file}"}
    first = user.token(env=environment)
    user.key_file.unlink()

    assert user.token(env=environment) == first


def test_the_key_comes_from_the_desktops_keyring(user, tmp_path):
    """By the keyring's own command, with a keyring that is a file here."""
    (tmp_path / "drawer.py").write_text(DRAWER)
    more = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "drawer.Drawer", "DRAWER": str(user.key_file)}
    command = f"{HOURPASS.with_name('keyring')} get hourpass api-key"

    assert user.token("--api-key-command", command, env={**user.bare, **more, "HOURPASS_URL": user.url})


DRAWER = """
import os
from pathlib import Path
from keyring.backend import KeyringBackend

class Drawer(KeyringBackend):
    priority = 1
    set_password = delete_password = None

    def get_password(self, service, username):
        is_ours = (service, username) == ("hourpass", "api-key")
        return Path(os.environ["DRAWER"]).read_text().strip() if is_ours else None
"""


def test_two_keys_in_one_cache_are_never_taken_for_each_other(user, server):
    """Each gets a token of its own, however often they take turns. Without any key it is the last one."""
    subject_of = {}
    for name in ("one", "two", "one"):
        made = server.create_key("--subject", name)
        environment = {**user.bare, "HOURPASS_URL": user.url, "HOURPASS_API_KEY": made["api_key"]}
        token = user.token(env=environment)
        assert user.token(env=environment) == token
        subject_of[name] = json.loads(b64decode(token.split(".")[1] + "=="))["sub"]

    assert subject_of == {"one": "one", "two": "two"}
    assert user.token(env={**user.bare, "HOURPASS_URL": user.url}) == token


def test_help_tells_no_value_of_a_variable(stranger):
    result = subprocess.run(
        [HOURPASS, "token", "--help"],
        capture_output=True,
        text=True,
        env={**stranger.environment, "HOURPASS_API_KEY": stranger.api_key},
    )

    assert result.returncode == 0
    assert stranger.api_key not in result.stdout
