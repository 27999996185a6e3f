"""Programs that are Debian's packages: root on Debian installs what a test needs and the machine lacks."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

LOCK = Path(tempfile.gettempdir()) / f"hourpass-tests-apt-{os.getuid()}.lock"


def needed(package: str, find: Callable[[], str | None]) -> str:
    """The program that `find` finds, after its package was installed if that is possible. Else the test is skipped.

    A CI run as root has no excuse, so there the test fails.
    """
    if (found := find()) is None and os.getuid() == 0 and shutil.which("apt-get"):
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # dpkg has one lock, and test processes are several
            if (found := find()) is None:
                install = ["install", "--yes", "--no-install-recommends", package]
                for arguments in (install, ["update"], install):  # most lists are new enough, or were a moment ago
                    done = subprocess.run(
                        ["apt-get", "--quiet", *arguments], check=False, capture_output=True, timeout=100
                    )
                    if arguments is install and done.returncode == 0:
                        break
                found = find()
    if found is None:
        must = os.environ.get("CI") == "true" and os.getuid() == 0
        (pytest.fail if must else pytest.skip)(f"needs {package}: apt install {package}")
    return found


def program(name: str, package: str | None = None) -> str:
    """The path of a program of a package that has its name, or another."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return needed(package or name, lambda: shutil.which(name, path=path))
