"""deploy/container: the Containerfile has no lint, and only what a wheel is made of reaches its build."""

import subprocess
import sys
from pathlib import Path

from tests.deploy.engine import Engine
from tests.deploy.files import CONTAINERFILE, ROOT

HADOLINT = Path(sys.executable).with_name("hadolint")

SECRET = [
    ".git/config",
    ".venv/bin/python",
    ".env",
    "api-key",
    "hourpass.db",
    "hourpass.toml",
    "src/secret",
    "deploy/compose/secrets/master-key",
]
WANTED = [
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements/build.txt",
    "requirements/container.txt",
    "src/hourpass/cli/__init__.py",
    "tools/index_page.py",
]
MADE = ["src/hourpass/__pycache__/cli.cpython-311.pyc", "src/hourpass/cli/__pycache__/serve.cpython-311.pyc"]


def test_the_containerfile_has_no_lint():
    linted = subprocess.run([HADOLINT, CONTAINERFILE], capture_output=True, text=True, check=False)

    assert (linted.returncode, linted.stdout) == (0, "")


def test_only_what_a_wheel_is_made_of_reaches_the_build(tmp_path):
    for name in (*SECRET, *WANTED, *MADE):
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).touch()
    (tmp_path / "checkout" / ".dockerignore").write_text((ROOT / ".dockerignore").read_text())
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
    engine = Engine()
    try:
        engine.buildah(
            "bud",
            "--isolation",
            "chroot",
            "--tag",
            "context",
            "--file",
            tmp_path / "Containerfile",
            tmp_path / "checkout",
        )
        folder = Path(engine.buildah("mount", engine.buildah("from", "context")))
        copied = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    finally:
        engine.close()

    assert sorted(copied) == WANTED
