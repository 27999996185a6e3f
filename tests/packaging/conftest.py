"""A release, built once for all tests from a copy of the repository: `make dist` without the make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from tests.conftest import clean_environment

ROOT = Path(__file__).parents[2]
VARIABLES = {"SOURCE_DATE_EPOCH": "1764406800"}


class Release(NamedTuple):
    wheel: Path
    source: Path
    parts: Path


def repository() -> list[str]:
    """The files that git knows, and those that it would: a test must not wait for a commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout: git knows what belongs to the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).exists())


def build(folder: Path, **environment: str) -> Release:
    """Copy the repository into a folder that is new, and build a release there."""
    for name in repository():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    done = subprocess.run(
        [sys.executable, "tools/dist.py"],
        cwd=folder,
        env={**clean_environment(), **VARIABLES, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return released(folder / "dist")


def released(dist: Path) -> Release:
    return Release(*(next(dist.glob(f"*{ending}")) for ending in (".whl", ".tar.gz", ".cdx.json")))


def shared_folder(tmp_path_factory) -> Path:
    """A folder that all test processes of a run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Release:
    """The release. The first process that needs it builds it."""
    shared = shared_folder(tmp_path_factory)
    with FileLock(shared / "release.lock"):
        folder = shared / "release"
        return released(folder / "dist") if list(folder.glob("dist/*.json")) else build(folder)
