"""Clean environments with the built wheel and one extra, installed by pip from wheels of the pinned versions.

pip reads the metadata of each wheel and finds nothing but what lies in the house, so a requirement that an extra does
not name is missing in its environment. Nothing of `.venv` is on the path there.
"""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from tests.conftest import clean_environment


class Environment:
    """A virtual environment, and what runs in it."""

    def __init__(self, folder: Path, house: Path) -> None:
        self._folder = folder
        self.house = house
        self.hourpass = folder / "bin" / "hourpass"

    def make(self, *requirements: str) -> "Environment":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self._folder], check=True)
        self.install(*requirements)
        return self

    def install(self, *requirements: str) -> None:
        """What `pip install` does, from the house alone."""
        options = ["--quiet", "--no-index", "--no-cache-dir", "--no-compile", "--find-links", self.house]
        pip = [sys.executable, "-m", "pip", "--isolated", "--python", self._folder / "bin" / "python", "install"]
        variables = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = self._run([*pip, *options, *requirements], variables)
        assert done.returncode == 0, done.stdout + done.stderr

    def command(self, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """`hourpass` with these arguments."""
        return self._run([self.hourpass, *arguments], variables, typed)

    def program(self, text: str, *arguments: str, **variables: str) -> str:
        """The output of a Python program, which must be a success."""
        done = self._run([self._folder / "bin" / "python", "-c", text, *arguments], variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _run(self, command: list, variables: dict[str, str], typed: str = "") -> subprocess.CompletedProcess[str]:
        kept = {name: text for name, text in clean_environment().items() if not name.startswith(("PYTHON", "PIP_"))}
        path = f"{self._folder / 'bin'}:{kept.get('PATH', '')}"
        return subprocess.run(
            command,
            env={**kept, "PATH": path, **variables},
            cwd=self._folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


def furnish(house: Path, release: Path, pins: Path) -> None:
    """Fill a folder with wheels of what a wheel's extras need, packed again from what is installed here."""
    pinned = {found[1]: found[2] for found in re.finditer(r"^([\w.-]+)==([^ ;]+)", pins.read_text(), re.MULTILINE)}
    house.mkdir()
    with zipfile.ZipFile(release) as wheel:
        metadata = next(wheel.read(name) for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    for name in needed(message_from_bytes(metadata).get_all("Requires-Dist") or []):
        found = distribution(name)
        assert found.version == pinned[name], f"{name} is not the pinned one: make setup-test"
        tag = re.search(r"^Tag: (.+)$", found.read_text("WHEEL") or "", re.MULTILINE)
        assert tag, name
        with zipfile.ZipFile(house / f"{name.replace('-', '_')}-{found.version}-{tag[1]}.whl", "w") as wheel:
            for path in found.files or ():
                if ".." not in path.parts and path.suffix != ".pyc" and path.name not in {"INSTALLER", "REQUESTED"}:
                    wheel.write(found.locate_file(path), str(path))


def needed(requirements: list[str], extra: str = "all", seen: frozenset[tuple[str, str]] = frozenset()) -> set[str]:
    """The names of what somebody needs who requires this, by the metadata of what is installed here."""
    names = set()
    for one in map(Requirement, requirements):
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            names.add(named(one))
            for further in {"", *one.extras}:
                asked = (named(one), further)
                if asked not in seen:
                    seen |= {asked}
                    names |= needed(distribution(one.name).requires or [], further, seen)
    return names


def named(requirement: Requirement) -> str:
    return re.sub(r"[-_.]+", "-", requirement.name).lower()
