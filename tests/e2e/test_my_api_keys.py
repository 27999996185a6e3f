"""The example in which customers manage their own keys: a real server, and the example as a process beside it."""

import re
import subprocess
import sys
import time
from html import escape, unescape
from pathlib import Path

import httpx2
import jwt
import pytest
from tests.conftest import LOOKS_SECRET, ServerProcess, clean_environment, free_port
from tests.e2e.conftest import exchange

APP = Path(__file__).parents[2] / "examples" / "my-api-keys" / "app.py"
SCOPES = {"acme": "videos.read videos.write", "globex": "videos.read"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my-api-keys")
    address = f"127.0.0.1:{free_port()}"
    server = ServerProcess(folder / "data", folder / "log", {"admin-listen": address, "exchange-limit": 0}, {})
    server.start()
    server.admin_url, server.folder, server.admin_ids = f"http://{address}", folder / "admin-keys", []
    server.folder.mkdir()
    for customer, scope in SCOPES.items():
        made = server.create_key("--admin", "operator", "--subject-prefix", f"{customer}/", "--max-scope", scope)
        (server.folder / customer).write_text(made["api_key"] + "\n")
        server.admin_ids.append(made["key_id"])
    yield server
    server.kill()
    assert not LOOKS_SECRET.search(server.log.read_bytes())


@pytest.fixture(scope="module")
def app(server, tmp_path_factory):
    """The URL of the running example."""
    url = f"http://127.0.0.1:{free_port()}"
    environment = clean_environment(
        ADMIN_URL=server.admin_url, ADMIN_KEYS=str(server.folder), PORT=url.rpartition(":")[2]
    )
    path = tmp_path_factory.mktemp("app") / "log"
    with path.open("wb") as log:
        process = subprocess.Popen([sys.executable, str(APP)], env=environment, stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx2.get(url)
            break
        except httpx2.TransportError:
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)
    log = path.read_bytes()
    assert b"Traceback" not in log
    assert not LOOKS_SECRET.search(log)


class Browser:
    """A customer before the page. It fills in the forms that the page has."""

    def __init__(self, url: str, customer: str) -> None:
        self.client = httpx2.Client(base_url=url, auth=(customer, f"{customer}'s password"), follow_redirects=True)

    def page(self) -> str:
        return self.client.get("/").text

    def fields(self, action: str, page: str | None = None) -> dict[str, str]:
        """The hidden fields of a form."""
        [form] = re.findall(rf'action="{action}">(.*?)</form>', page or self.page(), re.DOTALL)
        return dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', form))

    def create(self, name: str, *scopes: str, **changed: str) -> httpx2.Response:
        return self.client.post("/keys", data={**self.fields("/keys"), "name": name, "scope": scopes, **changed})

    def made(self, name: str, *scopes: str) -> tuple[str, str]:
        """A new key: its id and its text."""
        text = shown(self.create(name, *scopes or ("videos.read",)))
        return text.split("_")[2], text


@pytest.fixture
def acme(app):
    browser = Browser(app, "acme")
    with browser.client:
        yield browser


@pytest.fixture
def globex(app):
    browser = Browser(app, "globex")
    with browser.client:
        yield browser


def shown(answer: httpx2.Response) -> str:
    """The key that a page shows."""
    assert answer.status_code == 200, answer.text
    [found] = re.findall(r"<code>(\w+_\w+_\w+_\w+)</code>", answer.text)
    return found


def test_a_key_is_shown_once_and_exchanged_for_what_was_chosen(server, acme):
    key_id, text = acme.made("uploader", "videos.read", "videos.write")

    claims = jwt.decode(exchange(server, text).json()["access_token"], options={"verify_signature": False})
    assert (claims["scope"], claims["sub"]) == ("videos.read videos.write", "acme/api")
    assert (key_id in acme.page(), text in acme.page()) == (True, False)


def test_a_form_that_is_sent_twice_makes_one_key(acme):
    sent = {**acme.fields("/keys"), "name": "twice", "scope": "videos.read"}

    first, again = acme.client.post("/keys", data=sent), acme.client.post("/keys", data=sent)

    assert shown(first) == shown(again)
    assert acme.page().count("<h3>twice</h3>") == 1


def test_a_key_is_rotated_and_revoked(server, acme):
    key_id, text = acme.made("old")

    answer = acme.client.post(f"/keys/{key_id}/rotate", data=acme.fields(f"/keys/{key_id}/rotate"))
    rotated = shown(answer)
    assert rotated != text
    assert "The old key works until you use this one, and then for another 24 hours." in answer.text
    assert exchange(server, rotated).status_code == 200
    page = acme.page()
    assert re.search(r"The old key works until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", page)
    assert f"/keys/{key_id}/rotate" not in page, "it would be refused until then"
    asked = re.search(rf"<details>((?:(?!</details>).)*)/keys/{key_id}/revoke", page, re.DOTALL)[1]
    assert "Programs that use this key stop at once" in asked
    ended = acme.client.post(f"/keys/{key_id}/revoke", data=acme.fields(f"/keys/{key_id}/revoke"))

    assert ended.status_code == 200
    assert f"/keys/{key_id}/revoke" not in ended.text
    assert exchange(server, rotated).status_code == 400


def test_no_customer_sees_or_changes_the_key_of_another(server, acme, globex):
    key_id, text = acme.made("mine alone")
    mine = globex.fields("/keys")

    assert key_id not in globex.page()
    for what in ("rotate", "revoke"):
        assert globex.client.post(f"/keys/{key_id}/{what}", data=mine).status_code == 404
    assert exchange(server, text).status_code == 200


def test_a_guessed_id_is_as_unknown_as_any_other(server, acme):
    mine = acme.fields("/keys")
    answers = [
        acme.client.post(f"/keys/{key_id}/revoke", data=mine)
        for key_id in (*server.admin_ids, "0QZkHhhQLsER", "..", "%2e%2e", "a%2fb", "a%20b", "%00")
    ]

    assert {answer.status_code for answer in answers[:3]} == {404}
    assert {answer.status_code for answer in answers[3:]} <= {404, 405, 422}
    assert acme.client.get("/").status_code == 200  # its own admin key goes on


def test_every_error_is_a_page_that_leads_back(app, acme):
    mine = acme.fields("/keys")
    unknown = acme.client.post("/keys/0QZkHhhQLsER/revoke", data=mine)
    assert "No API key has the id" in unescape(unknown.text)
    refused = [unknown, acme.client.post("/keys", data={}), acme.client.get("/nowhere"), httpx2.get(app)]
    for answer in refused:
        assert (answer.status_code >= 400, '<a href="/">' in answer.text) == (True, True)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert refused[-1].headers["www-authenticate"] == "Basic"


def test_the_newest_key_is_the_first_below_the_form(acme):
    for name in ("older", "newer"):
        acme.made(name)
    form, _, listed = acme.client.get("/keys").text.partition("Your keys")
    created = re.findall(r"Created (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\.", listed)

    assert ("Create a key" in form, "<h3>newer</h3>" in listed, len(created) > 1) == (True, True, True)
    assert created == sorted(created, reverse=True)


def test_no_customer_gets_more_than_its_plan(globex):
    assert globex.create("greedy", "videos.write").status_code == 422
    assert globex.create("greedy", "keys:write").status_code == 422
    assert "greedy" not in globex.page()


def test_the_name_of_a_key_is_never_markup(acme):
    name = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"

    page = acme.create(name, "videos.read").text

    assert "<script" not in page
    assert "<img" not in page
    assert escape(name).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page


@pytest.mark.parametrize("token", [None, "", "0" * 64, "the other's"])
def test_another_site_cannot_send_a_form(acme, globex, token):
    sent = {**acme.fields("/keys"), "name": "forged", "scope": "videos.read"}
    sent["form_token"] = globex.fields("/keys")["form_token"] if token == "the other's" else token
    if token is None:
        del sent["form_token"]
    key_id, _ = acme.made("victim")

    assert acme.client.post("/keys", data=sent).status_code == 403
    assert acme.client.post(f"/keys/{key_id}/revoke", data=sent).status_code == 403
    assert acme.client.post(f"/keys/{key_id}/rotate", data=sent).status_code == 403
    page = acme.page()
    assert ("forged" in page, f"/keys/{key_id}/revoke" in page) == (False, True)


def test_the_page_needs_a_sign_in_and_is_kept_by_no_browser(app, acme):
    assert httpx2.get(app).status_code == 401
    assert httpx2.get(app, auth=("acme", "globex's password")).status_code == 401
    answer = acme.client.get("/")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_while_the_server_is_away_the_page_says_so_and_nothing_else(server, acme):
    acme.page()
    server.kill()
    try:
        answer = acme.client.get("/")
    finally:
        server.restart()

    assert answer.status_code == 503
    assert "<p>The keys cannot be reached. Try again in a minute.</p>" in answer.text
    assert acme.client.get("/").status_code == 200
