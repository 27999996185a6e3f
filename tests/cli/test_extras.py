"""The message of a command if the libraries of its extra were not installed."""

import subprocess
import sys

import pytest
from tests.conftest import clean_environment

WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from hourpass.cli import main; main()"


@pytest.mark.parametrize(("library", "command"), [("apsw", "serve"), ("uvloop", "demo")])
def test_a_command_whose_libraries_are_missing_names_one_and_how_to_get_it(library, command):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, library, command],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert f"{library} is missing: pip install 'hourpass[all]'" in done.stderr
    assert "Traceback" not in done.stderr
