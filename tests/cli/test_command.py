"""The command as a whole: exit codes, streams, colours, start time."""

import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest
from tests.conftest import HOURPASS

from hourpass import __version__


def test_the_version_is_printed(hourpass):
    assert hourpass("--version").stdout == f"hourpass {__version__}\n"


def test_the_quick_paths_import_no_server(hourpass):
    """The command serves as a credential helper, so it may not pay for what it does not use."""
    result = hourpass("--version", env={"PYTHONPROFILEIMPORTTIME": "1"})

    imported = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "click" in imported
    assert imported.isdisjoint({"apsw", "asyncio", "cryptography", "msgspec", "rich", "structlog", "uvloop"})


def test_how_long_the_version_takes(hourpass):
    """Printed, not asserted: it is the machine's figure as much as ours."""
    began = time.perf_counter()
    hourpass("--version")
    print(f"hourpass --version took {(time.perf_counter() - began) * 1000:.0f} ms")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("keys", "nope"),
        ("keys", "list", "--nope"),
        ("keys", "create"),
        ("keys", "create", "--name", "x", "--expires-in", "soon"),
        ("keys", "create", "--name", "x", "--expires-in", "0s"),
        ("keys", "create", "--name", "x", "--retry-window", "301"),
        ("keys", "create", "--name", "x", "--environment", "staging"),
        ("keys", "create", "--name", "x", "--allow-ip", "10.0.0.0/33"),
        ("keys", "show"),
        ("keys", "show", "one", "two"),
        ("tokens", "inspect"),
        ("audit", "--last", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_and_speaks_on_stderr(hourpass, arguments):
    result = hourpass(*arguments, code=2)

    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_wrong_usage_changes_nothing(newcomer):
    newcomer("keys", "create", "--name", "x", "--expires-in", "soon", code=2)

    assert not newcomer.data.exists()


@pytest.mark.parametrize(
    "arguments",
    [("keys", "list"), ("keys", "revoke", "x"), ("grants", "list"), ("tokens", "inspect", "x"), ("audit",)],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_data_folder_that_does_not_exist_is_an_error_and_is_not_made(newcomer, arguments):
    assert "no database at" in newcomer(*arguments, code=1).stderr
    assert not newcomer.data.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "show", "nobody"), "no API key has the id 'nobody'"),
        (("keys", "revoke", "nobody"), "no API key has the id 'nobody'"),
        (("keys", "create", "--name", " "), "a name is 1 to 200 printable characters"),
        (("keys", "create", "--name", "x", "--scope", 'a"b'), "not a scope"),
        (("keys", "create", "--name", "x", "--subject", "two words"), "visible ASCII"),
        (("grants", "revoke", "00"), "no grant has the id '00'"),
        (("grants", "revoke", "not hex"), "no grant has the id 'not hex'"),
        (("tokens", "revoke", "nonsense"), "not a token that this server can revoke"),
        (("keys", "list", "--database", "mysql://x"), "must be sqlite:PATH or postgresql://"),
        (("keys", "list", "--config", "missing.toml"), "missing.toml cannot be read"),
        (("keys", "list", "--data", "/dev/null"), "no database at /dev/null/hourpass.db"),
        (("migrate", "--data", "/dev/null"), "cannot make the data folder /dev/null"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("was_started")
def test_a_failure_is_exit_code_1_and_one_line_on_stderr(hourpass, arguments, words):
    result = hourpass(*arguments, code=1)

    assert result.stdout == ""
    assert re.fullmatch(r"hourpass: [^\n]*\n", result.stderr)
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "show", b"\xff"),
        ("keys", "create", "--name", b"\xff"),
        ("grants", "revoke", b"\xff"),
        ("grants", "list", "--key", b"\xff"),
        ("tokens", "inspect", b"\xff"),
        ("tokens", "revoke", b"\xff"),
        ("serve", "--host", b"\xff", "--port", "0", "--admin-listen", "off"),
        ("keys", "list", "--data", b"\xff"),
    ],
    ids=lambda arguments: " ".join(part for part in arguments if isinstance(part, str)),
)
def test_bytes_that_are_not_text_are_a_failure_like_any_other(hourpass, tmp_path, arguments):
    assert hourpass(*arguments, code=1, cwd=tmp_path).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "list", "--server", "https://a.example"), "hourpass --server URL keys list"),
        (("overview", "--admin-key-file", "x"), "hourpass --admin-key-file FILE overview"),
    ],
    ids=lambda value: value[-2] if isinstance(value, tuple) else "",
)
def test_an_option_of_the_whole_command_says_where_it_stands(hourpass, arguments, words):
    assert f"{arguments[-2]} stands before the command: {words}\n" in hourpass(*arguments, code=2).stderr


def test_a_full_disk_behind_stdout_is_a_failure_in_words(hourpass):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [HOURPASS, "keys", "list"], env=hourpass.environment, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("was_started")
def test_a_reader_that_leaves_gets_no_error_message(hourpass):
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [HOURPASS, "signing-keys", "list"], env=hourpass.environment, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)

    assert result.stderr == ""


def on_a_terminal(hourpass, *arguments: str, **environment: str) -> str:
    """The output of a command to a person."""
    terminal, child = pty.openpty()
    subprocess.run([HOURPASS, *arguments], env={**hourpass.environment, **environment}, stdout=child, check=True)
    os.close(child)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    return shown


@pytest.mark.usefixtures("was_started")
def test_a_table_has_a_bold_header_on_a_terminal(hourpass):
    assert on_a_terminal(hourpass, "signing-keys", "list").startswith("\x1b[1m")


@pytest.mark.usefixtures("was_started")
def test_no_color_is_obeyed(hourpass):
    """https://no-color.org."""
    assert "\x1b" not in on_a_terminal(hourpass, "signing-keys", "list", NO_COLOR="1")


@pytest.mark.usefixtures("was_started")
def test_nothing_is_coloured_for_a_pipe(hourpass):
    assert "\x1b" not in hourpass("signing-keys", "list").stdout
