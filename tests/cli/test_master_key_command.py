"""`master_key_command`: a program prints the master key, such as the client of a KMS, Vault or age."""

import base64
import json
import os
import time
from pathlib import Path

import pytest
from tests.postgres.cluster import NEWEST, clusters_of

from hourpass.core.errors import ConfigurationError
from hourpass.server.keys.key_command import key_from_command
from hourpass.server.settings.loading import load

KEY = base64.b64encode(os.urandom(32)).decode()
OTHER = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def program(tmp_path):
    """A factory of programs: shell scripts that the user can run."""

    def make(script: str, name: str = "kms") -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return make


def refusal(*command: object, environ=None, limit: float = 30) -> str:
    with pytest.raises(ConfigurationError) as refused:
        key_from_command([str(word) for word in command], environ or {"PATH": os.environ["PATH"]}, limit=limit)
    return refused.value.detail


def test_every_command_of_the_operator_works_with_it_and_no_file_is_made(hourpass, program):
    command = {"HOURPASS_MASTER_KEY_COMMAND": str(program(f"echo; echo ' {KEY} '"))}

    hourpass("keys", "create", "--name", "x", env=command)
    hourpass("config", "check", env=command)
    hourpass("backup", str(hourpass.data / "b.db"), env=command)
    assert "was not checked" not in hourpass("backup", str(hourpass.data / "c.db"), env=command).stderr
    hourpass("keys", "list", env={"HOURPASS_MASTER_KEY": KEY})

    assert not (hourpass.data / "master.key").exists()


def test_it_may_print_several_keys_while_the_key_is_replaced(hourpass, program):
    old = {"HOURPASS_MASTER_KEY_COMMAND": str(program(f"echo {KEY}"))}
    both = {"HOURPASS_MASTER_KEY_COMMAND": str(program(f"echo {OTHER}; echo {KEY}", "both"))}
    hourpass("keys", "create", "--name", "x", env=old)

    hourpass("master-key", "rotate", env=both)

    assert [each["values"] for each in hourpass.json("master-key", "status", env=both)] == [5, 0]
    hourpass("keys", "list", env={"HOURPASS_MASTER_KEY": OTHER})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("kms --key 'my key' $HOME;id", ("kms", "--key", "my key", "$HOME;id")),
        (["kms", "--key", "my key"], ("kms", "--key", "my key")),
    ],
    ids=["text with quotes", "a list"],
)
def test_it_is_text_or_a_list_and_no_shell_reads_it(value, words):
    settings, _ = load({"master_key_command": value}, {}, "/nowhere")

    assert settings.master_key_command == words


@pytest.mark.parametrize("value", ["", [], "'open", [1], "a\x00b"])
def test_an_unknown_command_is_refused(value):
    with pytest.raises(ConfigurationError, match="master_key_command"):
        load({"master_key_command": value}, {}, "/nowhere")


def test_the_key_and_a_command_for_it_are_one_too_many(hourpass):
    both = {"HOURPASS_MASTER_KEY": KEY, "HOURPASS_MASTER_KEY_COMMAND": "true"}

    assert "set only one of them" in hourpass("keys", "list", env=both, code=1).stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo permission denied by the KMS >&2; exit 3", "ended with 3: permission denied by the KMS"),
        ("exit 1", "ended with 1"),
        ("kill -9 $$", "ended with -9"),
        ("true", "printed nothing"),
        ("head -c 5000 /dev/zero | tr '\\0' A", "printed more than a key"),
    ],
)
def test_a_failure_is_one_line_and_an_error_of_the_configuration(hourpass, program, script, words):
    command = {"HOURPASS_MASTER_KEY_COMMAND": str(program(script))}

    said = hourpass("keys", "create", "--name", "x", env=command, code=1).stderr

    assert said == f"hourpass: master_key_command {words}\n"


def test_a_program_that_does_not_exist_is_named_by_what_is_wrong():
    assert refusal("/nowhere/kms") == "master_key_command cannot be run: No such file or directory"


def test_nothing_that_could_be_a_key_is_repeated_of_its_complaint(program):
    hexadecimal = base64.b64decode(KEY).hex()
    said = refusal(program(f"echo 'first line {KEY}' >&2; echo 'bad \x1b[31m key {KEY} {hexadecimal}' >&2; exit 1"))

    assert said == "master_key_command ended with 1: bad [31m key … …"


def test_a_word_that_is_not_a_key_is_not_repeated(hourpass, program):
    command = {"HOURPASS_MASTER_KEY_COMMAND": str(program("echo not-base64!"))}

    said = hourpass("keys", "create", "--name", "x", env=command, code=1).stderr

    assert "is not base64" in said
    assert "not-base64!" not in said


def test_one_that_hangs_is_ended_with_everything_that_it_started(program, tmp_path):
    began = time.monotonic()
    hanging = program(f"sleep 300 & echo $! > {tmp_path}/child; sleep 300")

    assert refusal(hanging, limit=0.5) == "master_key_command has not ended after 0.5 s"

    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_gets_no_descriptor_and_none_of_our_variables(program, tmp_path):
    """A listener of ours in another program would keep the port, and our settings may hold the database's password."""
    seen = program(f"env > {tmp_path}/env; ls /proc/$$/fd > {tmp_path}/fds; echo {KEY}")
    ours = {
        "HOURPASS_DATABASE_URL": "x",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        "NOTIFY_SOCKET": "x",
        "WATCHDOG_USEC": "1",
    }
    kept = {"PATH": os.environ["PATH"], "VAULT_ADDR": "https://vault.test", "CREDENTIALS_DIRECTORY": "/run/c"}
    listener = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(listener, True)
    try:
        assert key_from_command([str(seen)], {**ours, **kept}) == KEY
    finally:
        os.close(listener)

    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == set(kept)
    assert str(listener) not in (tmp_path / "fds").read_text().split()


def test_config_show_says_which_command_it_is(hourpass):
    shown = hourpass.json("config", "show", env={"HOURPASS_MASTER_KEY_COMMAND": "kms get 'my key'"})

    assert shown["master_key_command"] == ["kms", "get", "my key"]


def test_a_server_runs_it_once_for_each_start(serve, program, tmp_path):
    counting = program(f"echo x >> {tmp_path}/runs; echo {KEY}")
    server = serve(environment={"HOURPASS_MASTER_KEY_COMMAND": str(counting)})

    assert (tmp_path / "runs").read_text() == "x\n"
    server.stop()
    server.restart()
    assert (tmp_path / "runs").read_text() == "x\nx\n"
    assert not (server.data / "master.key").exists()


def test_workers_get_the_key_from_their_parent(serve, program, tmp_path, request):
    """Also one that is started again after it ended: the program may need a person, or a service that is away."""
    counting = program(f"echo x >> {tmp_path}/runs; echo {KEY}")
    cluster = clusters_of(request.config).shared(NEWEST)
    database = cluster.url(cluster.create_database())
    server = serve(
        environment={"HOURPASS_MASTER_KEY_COMMAND": str(counting)},
        database=database,
        workers=2,
        issuer="https://a.test",
    )

    def until_listening(times: int) -> None:
        deadline = time.monotonic() + 20
        while server.log.read_text().count('"listening"') < times:
            assert time.monotonic() < deadline, server.log.read_text()[-2000:]
            time.sleep(0.05)

    until_listening(2)
    [worker, *_] = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    os.kill(int(worker), 9)

    until_listening(3)
    assert (tmp_path / "runs").read_text() == "x\n"


def test_a_server_whose_command_fails_does_not_start(hourpass, program):
    command = {"HOURPASS_MASTER_KEY_COMMAND": str(program("echo no network >&2; exit 7"))}

    said = hourpass("serve", "--port", "0", "--admin-listen", "off", env=command, code=1).stderr

    assert said.splitlines()[-1] == "hourpass: master_key_command ended with 7: no network"
    assert not any("Traceback" in line for line in said.splitlines())
    assert json.dumps(said)
