"""What the files in deploy/ say, read as their own programs read them."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import clean_environment

from hourpass import __version__

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"

IMAGE = f"localhost/hourpass:{__version__}"
"""The one name of the image. Nobody publishes it: everybody builds it."""

COMPOSE = Path(sys.executable).with_name("docker-compose")


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    text = CONTAINERFILE.read_text("utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(part.split("=", 1) for part in line.split())


def composed(name: str) -> dict:
    """A compose file as docker compose understands it: anchors and short forms written out."""
    command = [COMPOSE, "--file", DEPLOY / "compose" / name, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def seconds(duration: str) -> float:
    """A duration as docker compose writes it, such as 1m0s."""
    parts = re.findall(r"(\d+)(h|m|s)", duration)
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)
