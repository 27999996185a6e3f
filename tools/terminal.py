"""Draws docs/terminal.svg: a real demo server and the README's three requests. Keys and tokens are shortened.

.venv/bin/python tools/terminal.py
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "terminal.svg"
COLUMNS, LINE, LEFT, TOP = 98, 19, 24, 64
LONGEST = 2
"""Lines of an answer. What is longer is cut."""

SECRET = re.compile(r"(hp_production_)[0-9A-Za-z_]*([0-9A-Za-z]{4})|(eyJ0eXAiO)[\w-]+\.[\w-]+\.[\w-]*([\w-]{4})")

STYLE = """
    svg { color-scheme: light dark; }
    text { font: 12.5px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; fill: #1f2933; }
    .command { font-weight: 600; }
    .note { fill: #5f6b7a; }
    .key { fill: #b42332; font-weight: 600; }
    .access { fill: #1d6f42; font-weight: 600; }
    .refresh { fill: #2457d6; font-weight: 600; }
    .panel { fill: #ffffff; stroke: #d5dbe3; }
    .bar { fill: #f4f6f9; }
    .dot { fill: #8391a3; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaf0; }
      .note { fill: #9aa7b8; }
      .key { fill: #ff8a94; }
      .access { fill: #6fd39b; }
      .refresh { fill: #86a9ff; }
      .panel { fill: #12161d; stroke: #2d3540; }
      .bar { fill: #1c222c; }
      .dot { fill: #5a6778; }
    }
  """

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" width="800" height="{height}" role="img"
  aria-labelledby="title desc">
  <title id="title">A terminal: the demo server, and three requests with curl</title>
  <desc id="desc">The first request exchanges an API key for an access token and a refresh token. The second calls the
    API with the access token. The third refreshes, and sent again it gets the same refresh token.</desc>
  <style>{style}</style>
  <rect class="panel" x="0.5" y="0.5" width="799" height="{ground}" rx="8"/>
  <rect class="bar" x="1" y="1" width="798" height="35" rx="8"/>
  <circle class="dot" cx="24" cy="18" r="5"/>
  <circle class="dot" cx="42" cy="18" r="5"/>
  <circle class="dot" cx="60" cy="18" r="5"/>
"""


def session(readme: str) -> list[tuple[str, str]]:
    """What is typed, and what comes: the README's requests with the real key and tokens, the last one twice."""
    commands = re.findall(r"^curl .*$", readme, re.MULTILINE)
    with subprocess.Popen(
        [Path(sys.executable).with_name("hourpass"), "demo", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:
        try:
            facts = json.loads(demo.stdout.readline())
            exchange, call, refresh = (each.replace("http://127.0.0.1:3600", facts["url"]) for each in commands)
            exchange = exchange.replace("hp_production_…", facts["api_key"])
            pair = json.loads(run(exchange))
            call = call.replace("eyJ0eXAiO…", pair["access_token"])
            refresh = refresh.replace("eyJ0eXAiO…", pair["refresh_token"])
            told = [
                (exchange, json.dumps(pair, separators=(",", ":"))),
                *((each, run(each)) for each in (call, refresh)),
            ]
            told.append((refresh, run(refresh)))
        finally:
            demo.terminate()
    return [tuple(part.replace(facts["url"], "http://127.0.0.1:3600") for part in pair) for pair in told]


def run(command: str) -> str:
    return subprocess.run([*shlex.split(command), "--silent"], capture_output=True, text=True, check=True).stdout


def draw(told: list[tuple[str, str]]) -> str:
    lines = [("$ make run", "command"), ("# hourpass demo on http://127.0.0.1:3600", "note"), ("", "")]
    for number, (command, answer) in enumerate(told):
        if number == len(told) - 1:
            lines.append(
                ("# The answer was lost? Send the same again: it is a retry, and gets the same refresh token.", "note")
            )
        lines += [(line, "command") for line in wrapped(f"$ {shortened(command)}")]
        parts = wrapped(shortened(answer).strip())
        lines += [(line, "answer") for line in parts[:LONGEST]]
        if len(parts) > LONGEST:
            lines[-1] = (lines[-1][0] + "…", "answer")
        lines.append(("", ""))
    lines.pop()
    height = TOP + LINE * len(lines) + 4
    kinds = kinds_of(told)
    drawn = [
        f'  <text class="{kind}" x="{LEFT}" y="{TOP + LINE * number}">{coloured(line, kinds)}</text>'
        for number, (line, kind) in enumerate(lines)
        if line
    ]
    return HEAD.format(height=height, ground=height - 1, style=STYLE) + "\n".join([*drawn, "</svg>", ""])


def shortened(text: str) -> str:
    """Keys and tokens without their middle. What is left tells two of them apart."""
    return SECRET.sub(lambda found: "…".join(part for part in found.groups() if part), text)


def wrapped(text: str) -> list[str]:
    """Lines that end with a comma."""
    lines = []
    while len(text) > COLUMNS:
        end = text.rfind(",", 0, COLUMNS) + 1 or COLUMNS
        lines.append(text[:end])
        text = text[end:]
    return [*lines, text]


def kinds_of(told: list[tuple[str, str]]) -> dict[str, str]:
    """What each shortened key or token is."""
    kinds = {}
    for command, answer in told:
        for key in re.findall(r'"apiKey":"([^"]+)"', command):
            kinds[shortened(key)] = "key"
        for kind, token in re.findall(r'"(access|refresh)_token":"([^"]+)"', answer):
            kinds[shortened(token)] = kind
    return kinds


def coloured(line: str, kinds: dict[str, str]) -> str:
    text = escape(line)
    for word, kind in kinds.items():
        text = text.replace(word, f'<tspan class="{kind}">{word}</tspan>')
    return text


if __name__ == "__main__":
    PICTURE.write_text(draw(session((ROOT / "README.md").read_text(encoding="utf-8"))), encoding="utf-8")
