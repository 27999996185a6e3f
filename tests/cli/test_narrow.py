"""On a terminal of 80 columns nothing is wider than it: a real terminal, and everything that prints a table."""

import os
import pty
import struct
import subprocess
import termios
from fcntl import ioctl

import pytest
from tests.conftest import HOURPASS

from hourpass.cli.folding import columns_of

COLUMNS = 80
SCOPE = "videos.read videos.write videos.delete players.read players.write analytics.read watermarks.write"
NAMES = [
    "The nightly report of the accounting department in Düsseldorf, and of its two subsidiaries",
    "夜間レポート" * 9,
    "x",
]


def on_terminal(
    hourpass, *arguments, columns: int = COLUMNS, code: int = 0, given: str = "", **environment: str
) -> list[str]:
    """The output of a command on a terminal, line by line."""
    terminal, child = pty.openpty()
    ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in hourpass.environment.items() if name not in ("COLUMNS", "LINES")}
    environment = {**kept, "NO_COLOR": "1", "TERM": "xterm", **environment}
    process = subprocess.Popen(
        [HOURPASS, *arguments], env=environment, stdin=subprocess.PIPE, stdout=child, stderr=child
    )
    os.close(child)
    with process.stdin:
        process.stdin.write(given.encode())
    shown = b""
    try:
        while chunk := os.read(terminal, 65_536):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other side has left
    finally:
        os.close(terminal)
    assert process.wait(30) == code, shown
    return shown.decode().splitlines()


@pytest.fixture
def full(hourpass):
    """An installation whose keys have long names, scopes and lists, and a trail to show."""
    hourpass.keys = [
        hourpass.create_key(
            "--name", name, "--scope", SCOPE, "--subject", f"account-{number}" * 8, "--expires-in", "90d"
        )
        for number, name in enumerate(NAMES)
    ]
    hourpass.pair = hourpass.exchange(hourpass.keys[0]["api_key"])
    hourpass("keys", "revoke", hourpass.keys[1]["key_id"])
    return hourpass


LONG_SETTINGS = {
    "HOURPASS_CORS_ORIGINS": " ".join(f"https://application-{number}.example.com" for number in range(9)),
    "HOURPASS_AUDIENCE": "https://" + "a-very-long-name." * 9 + "example.com",
}


def fits(lines: list[str]) -> None:
    assert lines
    assert [line for line in lines if columns_of(line) > COLUMNS] == []


def test_every_table_fits(full):
    tables = {
        "keys": on_terminal(full, "keys", "list"),
        "grants": on_terminal(full, "grants", "list", "--all"),
        "signing keys": on_terminal(full, "signing-keys", "list"),
        "audit": on_terminal(full, "audit"),
        "settings": on_terminal(full, "config", "show", **LONG_SETTINGS),
        "origins": on_terminal(full, "config", "show", "--origin", **LONG_SETTINGS),
        "copy": on_terminal(full, "copy", "--to", f"sqlite:{full.data}/c.db")[:8],
        "doctor": on_terminal(full, "doctor", "--url", "http://127.0.0.1:1", "--cache", f"{full.data}/c", code=1),
    }
    for lines in tables.values():
        fits(lines)

    whole = {name: " ".join(lines) for name, lines in tables.items()}
    for key in full.keys:
        assert key["key_id"] in whole["keys"]
        assert key["key_id"] in whole["audit"]
    (grant,) = full.json("grants", "list", "--all")
    assert grant["grant_id"] in whole["grants"]
    for scope in SCOPE.split():
        assert scope in whole["keys"]
    assert "https://application-8.example.com" in whole["settings"]


def test_the_first_line_of_a_key_says_which_it_is_and_whether_it_works(hourpass):
    key_id = hourpass.create_key("--name", "Nightly report", "--scope", SCOPE, "--subject", "acme/1")["key_id"]
    owner = hourpass.create_key("--name", "Ada's laptop", "--admin", "owner")["key_id"]

    shown = on_terminal(hourpass, "keys", "list")

    lines = {line.split()[0]: number for number, line in enumerate(shown) if line[:1].strip()}
    assert shown[lines[key_id]].split() == [key_id, "active", "production", "Nightly", "report", "acme/1"]
    own = " ".join(" ".join(shown[lines[owner] : lines[owner] + 3]).split())
    assert "(admin key: owner)" in own
    assert "keys:read" not in " ".join(shown)


def test_facts_fit_and_a_key_stays_in_one_piece(full):
    made = on_terminal(full, "keys", "create", "--name", NAMES[0], "--scope", SCOPE)
    # Talk is prose, which the terminal breaks.
    made = made[next(number for number, line in enumerate(made) if line.startswith("api key")) : -1]
    shown = on_terminal(full, "keys", "show", full.keys[0]["key_id"])
    token = full.pair.refresh_token.decode()
    explained = on_terminal(full, "tokens", "inspect", "-", given=token)

    for lines in (made, shown, explained):
        fits(lines)
    assert any(word.startswith("hp_production_") and len(word) == 59 for line in made for word in line.split())


def test_help_fits(hourpass):
    for arguments in ((), ("serve",), ("keys", "create")):
        fits(on_terminal(hourpass, *arguments, "--help"))


def test_a_wide_terminal_folds_nothing(full):
    lines = on_terminal(full, "grants", "list", columns=200)

    assert len(lines) == 2
    assert lines[0].split() == ["grant_id", "key_id", "generation", "state", "created_at", "idle_expires_at"]


def test_a_pipe_gets_a_line_for_each_row_however_long(full):
    """Scripts cut columns. A script that needs certainty asks with --json."""
    assert len(full("keys", "list").stdout.splitlines()) == 1 + len(NAMES)
    assert len(full("audit").stdout.splitlines()) == len(full.json("audit"))
