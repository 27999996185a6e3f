"""A server with a console, and people who use it: in a browser, or by plain HTTP."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.conftest import ServerProcess, free_port
from tests.debian import program

FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]


class Desk:
    """A running server, and how people come to its console."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.origin = f"http://{server.admin}"

    def url(self, path: str = "/") -> str:
        return f"{self.origin}/console{path}"

    def link(self) -> str:
        """A one-time link, as the command prints it."""
        made = self.server.command("console", "--json", "--admin-listen", self.server.admin)
        return json.loads(made.stdout)["url"]

    def admin_key(self, role: str, *options: str) -> dict[str, str]:
        return self.server.create_key("--admin", role, *options)

    def visitor(self, **options) -> "Visitor":
        """Somebody with a cookie jar and no browser."""
        return Visitor(self, **options)


class Visitor:
    """Somebody at the console with plain HTTP. It keeps the cookie and sends the token of the last form."""

    def __init__(self, desk: Desk, **headers: str) -> None:
        self.desk = desk
        self.headers = {"host": desk.server.admin, **headers}
        self.cookies: dict[str, str] = {}
        self.form = ""
        self.once = ""

    def ask(self, method: str, path: str, **options) -> httpx2.Response:
        url = path if path.startswith("http") else self.desk.url(path)
        headers = {**self.headers, **options.pop("headers", {})}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = httpx2.request(method, url, headers=headers, follow_redirects=False, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        found = re.search(r'name="form" value="(\w+)"', answer.text)
        self.form = found[1] if found else self.form
        found = re.search(r'name="once" value="([\w-]+)"', answer.text)
        self.once = found[1] if found else self.once
        return answer

    def get(self, path: str, **options) -> httpx2.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, data: dict[str, str] | None = None, **options) -> httpx2.Response:
        return self.ask("POST", path, data={"form": self.form, "once": self.once, **(data or {})}, **options)

    def by_link(self) -> "Visitor":
        """Sign in as the owner at the command line."""
        link = self.desk.link()
        self.get(link)
        assert self.post(link).status_code == 303
        self.get("/keys")
        return self

    def by_key(self, api_key: str) -> "Visitor":
        """Sign in by an admin key."""
        self.get("/sign-in")
        assert self.post("/sign-in", {"api_key": api_key}).status_code == 303
        self.get("/keys")
        return self


def start(folder: Path, **flags: object) -> ServerProcess:
    named = {"admin-listen": f"127.0.0.1:{free_port()}", **{k.replace("_", "-"): v for k, v in flags.items()}}
    return ServerProcess(folder / "data", folder / "server.log", named, {}).start()


@pytest.fixture(scope="session")
def desk(tmp_path_factory) -> Iterator[Desk]:
    """One server for all tests of a process that leave it as they find it."""
    server = start(tmp_path_factory.mktemp("console"))
    yield Desk(server)
    server.kill()


@pytest.fixture
def own_desk(tmp_path) -> Iterator[Desk]:
    """A server of the test's own."""
    server = start(tmp_path)
    yield Desk(server)
    server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module. While it is there, a loop runs, and no other test could start its own."""
    path = program("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def watched(browser: Browser, desk: Desk, **options) -> Iterator[BrowserContext]:
    """A browser window that fails the test if it asks another host, shows a dialog, or reports an error."""
    context = browser.new_context(**options)
    context.set_default_timeout(10_000)
    asked: list[str] = []
    errors: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
    yield context
    context.close()
    strangers = {urlsplit(url).netloc for url in asked} - {
        desk.server.admin,
        desk.server.admin.replace("127.0.0.1", "localhost"),
    }
    assert not strangers, "a page asked another host"
    # A refusal of ours is an answer, and Chromium writes it down as an error.
    assert [error for error in errors if "Failed to load resource" not in error] == []


def sign_in(context: BrowserContext, desk: Desk) -> Page:
    """A page of somebody who followed a one-time link."""
    page = context.new_page()
    page.goto(desk.link())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/console/(?!sign-in)"))
    return page
