"""docs/start/five-minutes.md: every line, in an empty folder, in under five minutes."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.conftest import clean_environment, free_port

ROOT = Path(__file__).parents[2]
PAGE = "docs/start/five-minutes.md"
REPOSITORY = "https://git.example.com/hourpass.git"
MARK = "--- end of block"
FIVE_MINUTES = 300

REPORT = f"printf '\\n{MARK} %s\\n' $?\n"
"""After each block, so that its output is told from the next one's."""


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """Each block of shell, and the lines that the page says it prints."""
    found: list[tuple[str, list[str]]] = []
    for language, block in re.findall(r"^```(sh|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append((block, []))
        else:
            found[-1][1].extend(block.splitlines())
    return found


@pytest.fixture
def ports() -> dict[str, str]:
    """The page's ports, and the ones that this machine has free: the only thing that is changed."""
    return {port: str(free_port()) for port in ("3600", "3601", "8000", "8080")}


def moved(script: str, ports: dict[str, str]) -> str:
    for old, new in ports.items():
        script = re.sub(rf"(127\.0\.0\.1(?::|\", )){old}\b", rf"\g<1>{new}", script)
        # nginx's file comes from the repository, and has the page's ports.
        script = script.replace("sed -e", f"sed -e 's/127.0.0.1:{old};/127.0.0.1:{new};/' -e")
    admin = f"127.0.0.1:{ports['3601']}"
    script = script.replace("hourpass console", f"hourpass console --admin-listen {admin}")
    return script.replace("hourpass serve", f"hourpass serve --port {ports['3600']} --admin-listen {admin}")


def run(script: str, folder: Path) -> tuple[str, str]:
    """What bash and all that it started printed. Nothing of it is left."""
    # git takes the repository from here.
    here = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{ROOT}.insteadOf", "GIT_CONFIG_VALUE_0": REPOSITORY}
    shell = subprocess.Popen(
        ["bash", "-u"],
        cwd=folder,
        env=clean_environment(**here),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        return shell.communicate(script, timeout=FIVE_MINUTES)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout to clone")
def test_every_line_works_from_an_empty_folder_to_a_refused_token(ports, tmp_path, capsys):
    steps = blocks((ROOT / PAGE).read_text("utf-8"))
    began = time.monotonic()

    printed, errors = run(moved("".join(block + REPORT for block, _ in steps), ports), tmp_path)

    with capsys.disabled():
        print(f"\n{PAGE}: {time.monotonic() - began:.0f} s")
    outputs = re.findall(rf"(.*?)\n{MARK} (\d+)\n", printed, re.DOTALL)
    told = errors + "".join(path.read_text() for path in sorted(tmp_path.glob("*.log")))
    assert len(outputs) == len(steps), told
    for (block, expected), (output, code) in zip(steps, outputs, strict=True):
        assert code == "0", f"{block}{output}{told}"
        assert [line for line in expected if line not in output.splitlines()] == [], f"{block}{output}{told}"
    assert sum(len(expected) for _, expected in steps) >= 4
