"""Completion as a shell asks for it: real bash, zsh and fish, and what they may not learn."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from tests.cli.test_help import COMMANDS
from tests.conftest import HOURPASS, clean_environment
from tests.debian import program

from hourpass.cli import command
from hourpass.cli.completion import SHELLS, VARIABLE, offer, script

KEY = "hp_production_0123456789ab_0123456789abcdefghijABCDEFGHIJ0123456789abc"

STARTS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
PREPARES = {"bash": "", "zsh": "autoload -U compinit && compinit -u -D; "}


@pytest.fixture
def environment(tmp_path):
    """A PATH with nothing but the command, and what fish lists files with."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hourpass").symlink_to(HOURPASS)
    (tmp_path / "bin" / "ls").symlink_to(program("ls", "coreutils"))
    (tmp_path / "rows-of-keys.csv").touch()
    home = {"HOME": str(tmp_path), "TERM": "dumb", "PS1": "$ ", "PATH": str(tmp_path / "bin")}
    return {**clean_environment(), **home}


class Typist:
    """A shell on a terminal, and somebody who types."""

    def __init__(self, shell: str, environment: dict[str, str], folder) -> None:
        terminal, child = pty.openpty()
        self._terminal = terminal
        words = (program(shell), *STARTS[shell][1:])
        streams = {"stdin": child, "stdout": child, "stderr": child}
        self._process = subprocess.Popen(words, env=environment, cwd=folder, start_new_session=True, **streams)
        os.close(child)
        self.type(f'{PREPARES[shell]}eval "$(hourpass completion {shell})" && echo rea""dy\r', "ready\r\n")

    def type(self, text: str, awaited: str) -> str:
        """What the terminal shows after a text was typed, up to what is awaited."""
        os.write(self._terminal, text.encode())
        shown, deadline = "", time.monotonic() + 20
        while awaited not in re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\x07", "", shown):
            assert select.select([self._terminal], (), (), deadline - time.monotonic())[0], shown
            shown += os.read(self._terminal, 4_096).decode(errors="replace")
        return shown

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


CASES = [
    ("hourpass sig", "hourpass signing-keys "),
    ("hourpass signing-keys ro", "hourpass signing-keys rotate "),
    ("hourpass keys create --environment sa", "hourpass keys create --environment sandbox "),
    ("hourpass keys import row", "hourpass keys import rows-of-keys.csv "),
]


@pytest.mark.parametrize("shell", STARTS)
def test_a_shell_completes_commands_choices_and_files(shell, environment, tmp_path):
    typist = Typist(shell, environment, tmp_path)
    try:
        for typed, completed in CASES:
            typist.type(f"{typed}\t", completed.removeprefix(typed))
            typist.type("\x15", "")  # Ctrl-U: an empty line again
    finally:
        typist.close()


def test_fish_completes_commands_choices_and_files(environment, tmp_path):
    for typed, completed in CASES:
        lines = f"hourpass completion fish | source; complete -C '{typed}'"
        done = subprocess.run(
            [program("fish"), "--no-config", "-c", lines], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [completed.split()[-1]], done.stderr


def asked(
    words: str, *, environment: dict[str, str] | None = None, before: str = "pass"
) -> subprocess.CompletedProcess:
    """What bash learns of the last of these words, from a process of its own."""
    environment = clean_environment(
        **{VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
        **environment or {},
    )
    code = f"import sys; {before}; from hourpass.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_no_program_gets_the_words_as_arguments(shell):
    """Every user of the machine can read those, and people paste keys into command lines."""
    assert not re.search(r"\benv\b", script(shell))


@pytest.mark.parametrize(
    "words",
    [f"hourpass token {KEY} ", f"hourpass keys revoke {KEY} --", f"hourpass {KEY} ", f"hourpass keys show {KEY}"],
)
def test_a_line_with_a_key_is_not_completed_and_not_repeated(words):
    done = asked(words)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_command_whose_extra_is_missing_is_completed_to_nothing():
    done = asked("hourpass keys list --", before="sys.modules['apsw'] = None")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_first_word_is_completed_without_importing_any_command():
    done = asked("hourpass ", environment={"PYTHONPROFILEIMPORTTIME": "1"})

    assert done.stdout.splitlines() == [f"plain,{path[0]}" for path in COMMANDS if len(path) == 1]
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"msgspec", "apsw", "cryptography", "asyncio", "hourpass.server", "hourpass.client"})


def test_completing_opens_no_database_and_reads_no_key(tmp_path, monkeypatch, capsys):
    """A program that opens a pipe waits for its other end, until the test's time is over."""
    for name in ("hourpass.db", "master.key", "key"):
        os.mkfifo(tmp_path / name)
    monkeypatch.setenv("HOURPASS_DATA", str(tmp_path))
    monkeypatch.setenv("HOURPASS_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("HOURPASS_MASTER_KEY_FILE", str(tmp_path / "master.key"))
    monkeypatch.setenv(VARIABLE, "bash_complete")
    for path in COMMANDS:
        words = ["hourpass", *path, "--"]
        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        offer(command)
        assert "plain,--help" in capsys.readouterr().out.splitlines(), path
