"""The message of a command if the libraries of its extra were not installed."""

import subprocess
import sys

import pytest
from tests.conftest import clean_environment

WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from hourpass.cli import main; main()"


def without(library: str, *arguments: str, rows: str = "") -> subprocess.CompletedProcess[str]:
    """A command in an interpreter that does not find a library. `tests/packaging` has those without any extra."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, library, *arguments],
        env=clean_environment(),
        input=rows,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("library", "command"), [("apsw", "serve"), ("uvloop", "demo")])
def test_a_command_whose_libraries_are_missing_names_one_and_how_to_get_it(library, command):
    done = without(library, command)

    assert done.returncode == 2
    assert done.stderr == f"hourpass: {command} needs an extra ({library} is missing): pip install 'hourpass[server]'\n"


def test_a_module_of_ours_that_is_missing_is_a_fault_and_no_extra():
    done = without("hourpass.cli.operator.keys", "keys", "list")

    assert done.returncode == 1
    assert "pip install" not in done.stderr


def test_an_import_of_hashes_whose_library_is_missing_says_how_to_get_it(tmp_path):
    hashed = "$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    rows = f"hash,algorithm,lookup,name\n{hashed},bcrypt,sk_live_Zk3v,a\n"
    done = without("bcrypt", "keys", "import", "-", "--data", str(tmp_path / "data"), rows=rows)

    assert done.returncode == 2
    assert "bcrypt and Argon2 need an extra: pip install 'hourpass[import]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert hashed not in done.stderr
