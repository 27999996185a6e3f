"""Builds a release into dist/: the wheel, the source archive, and the list of the pinned libraries (a CycloneDX SBOM).

The same commit gives the same bytes in every folder and at any time, because all times are SOURCE_DATE_EPOCH. It is the
time of the commit if you do not set it.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
SHARE = ROOT / "build" / "share"
VENDORED = ROOT / "src" / "hourpass" / "server" / "console" / "assets" / "vendored.toml"
PINS = "requirements/container.txt"
"""The libraries of the image: of the server, the command, and every extra that they can use."""


def main():
    if "SOURCE_DATE_EPOCH" not in os.environ:
        os.environ["SOURCE_DATE_EPOCH"] = output("git", "log", "-1", "--format=%ct").strip()
    for folder in (DIST, SHARE):
        shutil.rmtree(folder, ignore_errors=True)
    output(sys.executable, "tools/manual.py", SHARE)
    output(sys.executable, "-m", "hatchling", "build", "--directory", DIST)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (DIST / f"{project['name']}-{project['version']}.cdx.json").write_text(parts(), encoding="utf-8")
    for path in sorted(DIST.iterdir()):
        print(path.relative_to(ROOT))


def parts():
    """The SBOM of the pins, with what its maker leaves out: that the package depends on them."""
    made = output(
        *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements"),
        *("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible", PINS),
    )
    bill = json.loads(made)
    for component in bill["components"]:
        del component["description"]  # the line of the pins, with every hash once more
    bill["components"] += vendored()
    root = bill["metadata"]["component"]["bom-ref"]
    needed = [component["bom-ref"] for component in bill["components"]]
    bill["dependencies"] = [{"ref": root, "dependsOn": needed}, *({"ref": one} for one in needed)]
    return json.dumps(bill, indent=2, sort_keys=True) + "\n"


def vendored():
    """The files of others that lie in the package itself."""
    return [
        {
            "bom-ref": name,
            "type": "library",
            "name": name,
            "version": told["version"],
            "purl": told["purl"],
            "hashes": [{"alg": "SHA-256", "content": told["sha256"]}],
            "licenses": [{"license": {"id": told["licence"]}}],
        }
        for name, told in tomllib.loads(VENDORED.read_text(encoding="utf-8")).items()
    ]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
