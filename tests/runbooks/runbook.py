"""Runs the commands of a page of docs/runbooks/, as an operator would type them.

A page has the same sections everywhere, and this is what they mean to a test:

- "Symptom": a table. The row "Alert" has the alerts that lead here, "Log line" what stands in the log, and
  "Audit trail" the events.
- "Commands" and what is below it: each line of an `sh` block is typed, from the top to the bottom.
- "How to know it is over": the same, and it is over if each command succeeds and each `promtool query` prints nothing.

The section "What the tests do not run" of the index has, for each page, the commands in backquotes that are left out or
done by the test's own hands. A page elsewhere has such a section of its own.

What is different here than on the operator's machine (addresses, folders, ids) is replaced in each line before it runs.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.conftest import HOURPASS, clean_environment

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
OVER = "How to know it is over"
SECTIONS = ["Symptom", "What is still safe", "Commands", OVER]
LEFT_OUT = "What the tests do not run"

PROMETHEUS = "http://127.0.0.1:9090"
ADMIN = "http://127.0.0.1:3601"
SERVER = "http://127.0.0.1:3600"
DATA = "/var/lib/hourpass"
LOG = "journalctl --unit hourpass --since -1h"


def left_out_of_runbooks() -> dict[str, str]:
    """What the index says that the tests do not run, by the page's file."""
    section = (FOLDER / "index.md").read_text("utf-8").split(f"## {LEFT_OUT}\n")[1]
    return dict(re.findall(r"^\| `([\w-]+\.md)` \|((?:[^|]|\\\|)*?) \|", section, re.MULTILINE))


class Page:
    """A runbook as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text("utf-8")
        parts = re.split(r"^## (.+)\n", self.text, flags=re.MULTILINE)
        self.sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    def symptom(self, sign: str) -> set[str]:
        """What the row of a sign names in backquotes."""
        row = re.search(rf"^\| {sign} \|(.*)\|$", self.sections["Symptom"], re.MULTILINE)
        return set() if row is None else set(re.findall(r"`([^`]+)`", row[1]))

    @property
    def alerts(self) -> set[str]:
        return {each for each in self.symptom("Alert") if each.startswith("Hourpass")}

    @property
    def left_out(self) -> set[str]:
        told = self.sections.get(LEFT_OUT, "") + left_out_of_runbooks().get(self.path.name, "")
        return set(re.findall(r"`([^`]+)`", told.replace("\\|", "|")))

    def lines(self, section: str) -> list[str]:
        """The commands of a section."""
        blocks = re.findall(r"```sh\n(.*?)```", self.sections[section], re.DOTALL)
        return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


class Runbook:
    """A page and the machine that its commands run on, in `folder`.

    `real` says what stands here for a text of the page. `hands` are commands that the test does itself.
    """

    def __init__(
        self, page: Path, folder: Path, real: Mapping[str, str], hands: Mapping[str, Callable[[], object]] | None = None
    ) -> None:
        self.page = Page(page)
        self._folder = folder
        self._real = real
        self._hands = hands or {}
        self._elsewhere: tuple[str, ...] = ()
        self.shell = ["bash", "-c"]
        self.environment = clean_environment(PATH=f"{HOURPASS.parent}:{os.environ['PATH']}:/usr/sbin", NO_COLOR="1")

    def leave_out(self, *parts: str) -> None:
        """Do not type the lines with one of these: another test does."""
        self._elsewhere = parts

    def run(
        self,
        section: str = "Commands",
        *,
        fails: Mapping[str, int] | None = None,
        until: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Type all commands of a section. Returns what each said.

        `fails` has the exit codes of those that first fail, and `until` what one says once the server has noticed what
        a command before it did: it is typed again until then.
        """
        said: dict[str, str] = {}
        expected = dict(fails or {})
        for line in self._lines(section):
            code, answer = self._type(line)
            deadline = time.monotonic() + 10
            while until and until.get(line, "") not in answer:
                assert time.monotonic() < deadline, f"{line} said {answer}"
                code, answer = self._type(line)
            assert code == expected.pop(line, 0), f"{line} ended with {code}: {answer}"
            said[line] = said.get(line, "") + answer
        return said

    def is_over(self) -> str:
        """Nothing if the page's last commands show that it is over. Otherwise what they say instead."""
        for line in self._lines(OVER):
            code, said = self._type(line)
            if code or (line.startswith("promtool query") and said.strip()):
                return f"{line} ended with {code}: {said}"
        return ""

    def await_over(self, within: float = 45) -> None:
        """Type the last commands until they show that it is over."""
        deadline = time.monotonic() + within
        while still := self.is_over():
            assert time.monotonic() < deadline, still
            time.sleep(0.2)

    def _lines(self, section: str) -> list[str]:
        left_out = self.page.left_out - self._hands.keys()
        lines = [line for line in self.page.lines(section) if line not in left_out]
        return [line for line in lines if not any(part in line for part in self._elsewhere)]

    def _type(self, line: str) -> tuple[int, str]:
        if hand := self._hands.get(line):
            hand()
            return 0, ""
        real = line
        for text, ours in self._real.items():
            real = real.replace(text, ours)
        result = subprocess.run(
            [*self.shell, real],
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=self.environment,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr
