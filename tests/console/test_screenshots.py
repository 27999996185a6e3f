"""The pictures of the console in the documentation. Missing ones are taken, and `make screenshots` takes all again."""

import json
import math
import os
import random
import time
from pathlib import Path

import apsw
import httpx2
import pytest
from tests.console.conftest import Desk, sign_in, start, watched

from hourpass.core.policy import DAY, HOUR, MINUTE
from hourpass.core.stats import Stats
from hourpass.server.console.pages import SECTIONS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "_static" / "console"
PAGE = ROOT / "docs" / "how-to" / "console.md"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


def picture_of(section: str) -> str:
    return section.lower().replace(" ", "-")


def of_sections() -> dict[str, str]:
    """The path of each page of the menu, by the name of its picture."""
    return {picture_of(section.name): section.path for section in SECTIONS if section.in_menu}


def wanted(name: str) -> bool:
    """Whether a picture is to be taken: it is missing, or somebody asked for all of them."""
    return "SCREENSHOTS" in os.environ or not (FOLDER / f"{name}.png").exists()


def test_every_picture_is_shown_in_the_documentation():
    shown = PAGE.read_text("utf-8")

    assert {path.name for path in FOLDER.glob("*.png") if f"_static/console/{path.name}" not in shown} == set()


def busy_day(now: int) -> list[tuple[int, Stats]]:
    """What a small provider's node wrote down in a day whose clients move away from raw keys."""
    chance = random.Random(7)
    minutes = []
    for ago in range(24 * 60):
        busy = (0.55 + 0.45 * math.sin((ago / 1440 + 0.1) * 2 * math.pi)) * chance.uniform(0.8, 1.2)
        stats = Stats(
            exchanges=round(9 * busy),
            refreshes=round(80 * busy),
            retries=int(chance.random() < 0.06 * busy),
            replays=0,  # the one that really happened is enough
            refusals=int(chance.random() < 0.1) + 3 * int(400 < ago < 415),
            raw_accepted=round(14 * min(1.0, ago / 900) * chance.uniform(0.8, 1.2)),
            bearer_accepted=round(4_000 * busy),
        )
        minutes.append((now // MINUTE - ago, stats))
    return minutes


def fill(desk: Desk) -> dict[str, str]:
    """A small provider's server. Returns the paths of the page of a key and of two grants."""
    create = desk.server.create_key
    acme = create(
        *("--name", "Acme production", "--subject", "acme", "--scope", "videos.read videos.write players.read"),
        *("--tag", "team=video", "--claim", "tenant=acme", "--allow-ip", "127.0.0.0/8", "--expires-in", "90d"),
    )
    create("--name", "Acme mobile app", "--subject", "acme/mobile", "--scope", "videos.read")
    stolen = create(
        "--name", "Encoder fleet", "--subject", "encoder", "--scope", "videos.write", "--retry-window", "0s"
    )
    create("--name", "Try-out", "--environment", "sandbox", "--scope", "videos.read", "--expires-in", "14d")
    for word, name in (("disable", "Nightly export"), ("revoke", "Old billing worker")):
        desk.server.command("keys", word, create("--name", name, "--subject", "acme/jobs")["key_id"])
    desk.admin_key("auditor", "--name", "Security team")

    def post(path: str, **body: str) -> dict:
        return httpx2.post(f"{desk.server.url}{path}", json=body).json()

    pair = post("/auth/api-key", apiKey=acme["api_key"])
    for _ in range(5):
        pair = post("/auth/refresh", refreshToken=pair["refresh_token"])
    post("/auth/api-key", apiKey=acme["api_key"])
    theft = post("/auth/api-key", apiKey=stolen["api_key"])["refresh_token"]
    for _ in range(2):
        post("/auth/refresh", refreshToken=theft)
    desk.server.command("signing-keys", "rotate")
    (desk.server.data / "hourpass.toml").write_text("webhook_allow_private = true")
    hook = "http://127.0.0.1:9/hook"
    desk.server.command("webhooks", "create", hook, "--description", "Pager of the security team")

    now = time.time_ns() // 1_000_000
    hours = [0.4, 1.5, 2.6, 3.6, 4.7]
    times = b"".join(round(now - ago * HOUR).to_bytes(8, "big") for ago in hours)
    names = ", ".join(Stats._fields)
    add = f"insert into stats (minute, node, {names}) values (?, 'n1', {', '.join('?' * len(Stats._fields))})"
    assert desk.server.stop() == 0
    with apsw.Connection(str(desk.server.data / "hourpass.db")) as db:
        db.execute("update webhooks set url = 'https://hooks.example.com/hourpass', failing_since = null")
        for table in ("secrets", "api_keys"):
            db.execute(f"update {table} set created_at = created_at - ?", (30 * DAY,))
        db.execute("update grants set created_at = ?, superseded = ? where generation = 5", (now - 6 * HOUR, times))
        db.execute("update grants set created_at = ? where revoked_at is not null", (now - 2 * HOUR,))
        older = "update signing_keys set published_at = ?, signs_from = ? where retired_at is not null"
        db.execute(older, (now - HOUR, now - HOUR))
        use = "insert into key_uses (key_id, kind, at, address) values (?, 'raw', ?, x'c0000207')"
        for key_id, ago in ((acme["key_id"], 20 * MINUTE), (stolen["key_id"], 3 * DAY)):
            db.execute(use, (key_id, now - ago))
        for minute, stats in busy_day(now):
            db.execute(add, (minute, *stats))
    desk.server.restart()

    def grant_of(key: dict[str, str]) -> str:
        listed = json.loads(desk.server.command("grants", "list", "--key", key["key_id"], "--all", "--json").stdout)
        return f"/grants/{max(listed, key=lambda grant: grant['generation'])['grant_id']}"

    key = f"/keys/{acme['key_id']}"
    return {"key": key, "confirm": f"{key}/revoke", "grant": grant_of(acme), "grant-replayed": grant_of(stolen)}


@pytest.mark.skipif(not any(map(wanted, of_sections())), reason="make screenshots takes them again")
def test_pictures_are_taken(browser, tmp_path):
    FOLDER.mkdir(exist_ok=True)
    server = start(tmp_path)
    desk = Desk(server)

    def shoot(page, name: str) -> None:
        if wanted(name):
            page.screenshot(path=FOLDER / f"{name}.png")

    try:
        more = fill(desk)
        with watched(browser, desk, viewport=DESK) as context:
            page = context.new_page()
            page.goto(desk.url("/sign-in"))
            page.evaluate("document.getElementById('command').textContent = 'hourpass console'")  # not a folder of ours
            shoot(page, "sign-in")
            page.close()
            page = sign_in(context, desk)
            for name, path in {**of_sections(), **more}.items():
                page.goto(desk.url(path))
                shoot(page, name)
            page.goto(desk.url("/"))
            page.emulate_media(color_scheme="dark")
            shoot(page, "overview-dark")
            page.set_viewport_size(PHONE)
            page.goto(desk.url("/keys"))
            shoot(page, "phone")
    finally:
        server.kill()
