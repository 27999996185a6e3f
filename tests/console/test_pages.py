"""Every page, in a browser: accessible in both themes and on a phone, small, and at home in the console's own files."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import axe_playwright_python
import httpx2
import pytest
from tests.conftest import run_command
from tests.console.conftest import Desk, sign_in, start, watched

LOOKS = {
    "light on a desk": ("light", {"width": 1280, "height": 800}),
    "dark on a phone": ("dark", {"width": 360, "height": 740}),
}
"""Colours follow the theme alone, and the layout the size alone, so two looks show both themes and both sizes."""

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
ONLY_VIOLATIONS = {"resultTypes": ["violations"]}

MOST = 100_000
"""Bytes of a page with all that it loads."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A server of these tests' own: the lists stay short, and so does what axe reads."""
    server = start(tmp_path_factory.mktemp("pages"))
    yield Desk(server)
    server.kill()


@pytest.fixture(scope="module")
def filled(desk):
    """What pages show: keys of every kind."""
    create = desk.server.create_key
    key = create(
        "--name",
        "Acme production",
        "--subject",
        "acme",
        "--scope",
        "videos.read videos.write players.read a.b",
        "--tag",
        "team=billing",
        "--claim",
        "tenant=acme",
        "--allow-ip",
        "127.0.0.0/8",
        "--expires-in",
        "90d",
    )
    ended = {}
    for word in ("disable", "revoke"):
        ended[word] = create("--name", f"To {word}", "--subject", f"{word}@acme")["key_id"]
        desk.server.command("keys", word, ended[word])
    admin = desk.admin_key("operator", "--name", "Bob")
    desk.visitor().by_key(admin["api_key"])
    pair = httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).json()
    httpx2.post(f"{desk.server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]}).raise_for_status()
    [grant] = json.loads(desk.server.command("grants", "list", "--key", key["key_id"], "--json").stdout)
    hook = desk.server.command("webhooks", "create", "https://hooks.invalid/x", "--event", "key.leaked", "--json")
    webhook = json.loads(hook.stdout)["webhook_id"]
    ids = {"key": key["key_id"], "admin": admin["key_id"], "disabled": ended["disable"]}
    return {**ids, "grant": grant["grant_id"], "webhook": webhook}


def paths(filled) -> list[str]:
    key = f"/keys/{filled['key']}"
    return [
        "/",
        "/?hours=168",
        "/grants",
        f"/grants/{filled['grant']}",
        f"/grants/{filled['grant']}/revoke",
        "/keys",
        "/keys?q=nobody",
        "/keys/new",
        "/keys/find",
        "/keys/import",
        key,
        *(f"{key}/{part}" for part in ("edit", "rotate", "disable", "revoke")),
        f"/keys/{filled['admin']}",
        f"/keys/{filled['admin']}/edit",
        f"/keys/{filled['disabled']}/rotate",
        "/signing-keys",
        "/signing-keys/rotate",
        "/inspect",
        "/inspect/brake",
        "/audit",
        "/audit?live=1",
        "/audit?event=key.leaked&since=2h",
        "/audit?since=tomorrow",
        "/audit/verify",
        "/webhooks",
        "/webhooks/new",
        f"/webhooks/{filled['webhook']}",
        *(f"/webhooks/{filled['webhook']}/{part}" for part in ("edit", "rotate-secret", "delete")),
        "/connect",
        "/sessions",
        "/nothing-here",
    ]


def problems_of(page) -> list[str]:
    """What axe finds, and whether the page is wider than the screen, in each look of a page that is loaded once."""
    found = []
    page.evaluate(AXE)
    for look, (theme, viewport) in LOOKS.items():
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(viewport)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{page.url} {look}: wider than the screen")
        result = page.evaluate("options => axe.run(document, options)", ONLY_VIOLATIONS)
        found += [f"{page.url} {look}: {each['id']} {each['nodes'][0]['html'][:200]}" for each in result["violations"]]
    return found


def test_the_door_is_accessible(browser, desk):
    with watched(browser, desk) as context:
        page = context.new_page()
        found = []
        for url in (desk.url("/sign-in"), desk.link()):
            page.goto(url)
            found += problems_of(page)

    assert found == []


@pytest.mark.parametrize("half", [0, 1])
def test_every_page_is_accessible_in_both_themes_and_on_a_phone_and_small(browser, desk, filled, half):
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        found, weights = [], {}
        page.on("response", lambda answer: weights.__setitem__(answer.url, answer))
        for path in paths(filled)[half::2]:
            weights.clear()
            page.goto(desk.url(path))
            weight = sum(int(answer.header_value("content-length") or 0) for answer in list(weights.values()))
            if weight > MOST:
                found.append(f"{path}: {weight} bytes")
            found += problems_of(page)

    assert found == []


def buttons(page) -> set[str]:
    """What somebody can press or follow inside of a page, apart from the menu."""
    names = [each.inner_text().strip() for each in page.locator("main button:visible, main a.button:visible").all()]
    return {name for name in names if name}


def test_an_auditor_sees_no_button_that_would_be_refused(browser, desk, filled):
    key = desk.admin_key("auditor")
    with watched(browser, desk) as context:
        page = context.new_page()
        page.goto(desk.url("/sign-in"))
        page.get_by_label("Admin API key").fill(key["api_key"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile(r"/console/(?!sign-in)"))
        seen = {}
        for path in paths(filled):
            page.goto(desk.url(path))
            refused = page.get_by_role("heading", level=1).inner_text() == "You may not do this"
            seen[re.sub(r"\w{12,}", "ID", path)] = "refused" if refused else buttons(page)

    assert seen["/"] == {"6 hours", "24 hours", "7 days"}
    assert seen["/nothing-here"] == {"To the overview"}
    assert seen["/audit"] == {"Verify the chain", "Export", "Find", "Follow"}
    assert seen["/keys"] == {"Find a whole key", "Find"}
    assert seen["/keys/ID"] == seen["/webhooks"] == seen["/webhooks/ID"] == set()
    assert seen["/grants/ID"] == {"Copy\nthe id"}
    assert {path for path, what in seen.items() if what == "refused"} == {
        "/keys/new",
        "/keys/import",
        "/keys/ID/edit",
        "/keys/ID/rotate",
        "/keys/ID/disable",
        "/keys/ID/revoke",
        "/grants/ID/revoke",
        "/signing-keys/rotate",
        "/inspect/brake",
        "/webhooks/new",
        "/webhooks/ID/edit",
        "/webhooks/ID/rotate-secret",
        "/webhooks/ID/delete",
    }


def test_the_page_of_a_key_that_has_ended_shows_nothing_that_cannot_happen_any_more(desk):
    server = desk.server
    key = server.create_key("--expires-in", "90d", "--name", "Over")
    pair = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key["api_key"]})
    assert pair.status_code == 200
    server.command("keys", "rotate", key["key_id"])
    visitor = desk.visitor().by_link()
    path = f"/keys/{key['key_id']}"
    ahead = ["A new secret waits", "<dt>Expires</dt>", "live grant"]
    page = visitor.get(path).text
    assert [words for words in ahead if words not in page] == []

    server.command("keys", "revoke", key["key_id"])
    page = visitor.get(path).text
    assert [words for words in ahead if words in page] == []
    assert f'href="/console/grants?key={key["key_id"]}">Its ended grants</a>' in page
    assert re.search(r'data-label="Expires"></td>', visitor.get("/keys?q=Over").text)


def test_a_refusal_keeps_the_menu_and_speaks_of_the_role(desk, filled):
    auditor = desk.visitor().by_key(desk.admin_key("auditor")["api_key"])
    operator = desk.visitor().by_key(desk.admin_key("operator")["api_key"])
    pages = {
        403: auditor.get(f"/keys/{filled['key']}/edit"),
        404: auditor.get("/nothing-here"),
    }
    told = operator.get("/inspect/brake")

    for status, page in pages.items():
        assert page.status_code == status
        assert 'aria-label="Console"' in page.text
    assert "Your role, auditor, may only look." in pages[403].text
    assert "Your role, operator, may not do this." in told.text
    assert "scope" not in pages[403].text + told.text


def test_the_role_of_an_admin_key_is_changed_on_its_page(desk):
    key = desk.admin_key("owner", "--name", "Carol")["key_id"]
    visitor = desk.visitor().by_link()

    def saved(**role: str) -> dict:
        tag = re.search(r'name="tag" value="([^"]+)"', visitor.get(f"/keys/{key}/edit").text)[1]
        assert (
            visitor.post(f"/keys/{key}/edit", {"name": "Carol", "tag": tag, "confirm": "Carol", **role}).status_code
            == 303
        )
        shown = json.loads(desk.server.command("keys", "show", key, "--json").stdout)
        return {name: shown.get(name) for name in ("admin", "subject_prefix", "max_scope")}

    delegated = {"admin": "operator", "subject_prefix": "acme/", "max_scope": "a b"}
    assert saved(**delegated) == delegated
    alone = {"admin": "operator", "subject_prefix": "", "max_scope": ""}
    assert saved(**alone) == {"admin": "operator", "subject_prefix": None, "max_scope": None}
    assert saved(admin="auditor")["admin"] == "auditor"
    ordinary = desk.server.create_key()["key_id"]
    assert 'name="admin"' not in visitor.get(f"/keys/{ordinary}/edit").text


def test_who_gets_an_admin_key_is_told_the_commands_of_the_admin_listener(desk):
    visitor = desk.visitor().by_link()
    visitor.get("/keys/new")
    fields = {"admin": "operator", "subject_prefix": "acme/", "max_scope": "a.b"}
    page = visitor.post("/keys/new", {"name": "Acme", **fields}).text
    command = f"hourpass --server {desk.origin} --admin-key-file admin.key keys list"
    key_id = re.search(r"/console/keys/(\w{12})\"", page)[1]

    assert command in page
    assert "HOURPASS_URL" not in page
    assert "operator for acme/" in page
    key_file = desk.server.data.parent / "admin.key"
    key_file.write_text(re.search(r'id="api-key">([^<]+)<', page)[1])
    key_file.chmod(0o600)
    done = run_command(*command.replace("admin.key", str(key_file)).split()[1:])
    assert done.returncode == 0
    assert "<dt>Signed in here</dt><dd><span" in visitor.get(f"/keys/{key_id}").text
    desk.visitor().by_key(key_file.read_text())
    assert "<dt>Signed in here</dt><dd>1 time ·" in visitor.get(f"/keys/{key_id}").text
    assert "operator for acme/" in visitor.get("/sessions").text


def test_a_delegated_admin_sees_its_own_keys_and_no_overview(browser, desk, filled):
    key = desk.admin_key("operator", "--subject-prefix", "acme", "--max-scope", "videos.read")
    visitor = desk.visitor().by_key(key["api_key"])

    assert visitor.get("/").headers["location"] == "/console/keys"
    page = visitor.get("/keys").text
    assert filled["key"] in page
    assert filled["admin"] not in page
    assert ">Overview<" not in page.replace("</svg>", ">")
    assert visitor.get(f"/keys/{filled['admin']}").status_code == 404


def test_the_form_of_a_delegated_admin_key_has_only_what_it_may_set(desk):
    key = desk.admin_key("operator", "--subject-prefix", "acme/", "--max-scope", "videos.read")
    visitor = desk.visitor().by_key(key["api_key"])
    page = visitor.get("/keys/new").text
    subject = re.search(r'<input [^>]*name="subject"[^>]*>', page)[0]

    assert ('value="acme/"' in subject, "required" in subject) == (True, True)
    assert "at most: videos.read." in page
    fields = {"name", "subject", "scope", "audiences", "claims", "external_id", "admin", "tags", "environment"}
    shown = {name for name in fields if f'name="{name}"' in page}
    assert shown == {"name", "subject", "scope", "tags", "environment"}
    made = visitor.post("/keys/new", {"name": "Of a customer", "subject": "acme/7", "scope": "videos.read"}).text
    edit = visitor.get(re.search(r"/console(/keys/\w{12})\"", made)[1] + "/edit").text
    assert {name for name in ("audiences", "claims") if f'name="{name}"' in edit} == set()


def test_the_overview_asks_again_by_itself(browser, desk):
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        page.clock.install()
        page.goto(desk.url("/"))
        page.get_by_text("live", exact=True).wait_for()
        with page.expect_response(lambda answer: "hx-request" in answer.request.headers) as answered:
            page.clock.fast_forward(16_000)
        assert answered.value.status == 200
        page.get_by_role("heading", name="What needs attention").wait_for()


def test_the_life_of_a_grant_ends_by_a_replay_that_is_seen(browser, desk):
    """The theft signal: an old refresh token came back."""
    key = desk.server.create_key("--retry-window", "0s")
    first = httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).json()["refresh_token"]
    for _ in range(2):
        httpx2.post(f"{desk.server.url}/auth/refresh", json={"refreshToken": first})
    [grant] = json.loads(desk.server.command("grants", "list", "--key", key["key_id"], "--all", "--json").stdout)
    visitor = desk.visitor().by_link()
    page = visitor.get(f"/grants/{grant['grant_id']}").text
    auditors = desk.visitor().by_key(desk.admin_key("auditor")["api_key"]).get(f"/grants/{grant['grant_id']}").text

    for each in (page, auditors):
        assert f'href="/console/grants?key={key["key_id"]}">All grants of this key' in each
        assert (f'href="/console/keys/{key["key_id"]}/rotate#h-leak"' in each) == (each is page)
    desk.server.command("keys", "revoke", key["key_id"])
    assert "Its key is revoked already" in visitor.get(f"/grants/{grant['grant_id']}").text
    assert "A superseded refresh token came back" in page
    assert 'class="tick bad"' in page
    assert "/revoke" not in page


def test_an_operator_cannot_change_an_admin_key(browser, desk, filled):
    key = desk.admin_key("operator")
    visitor = desk.visitor().by_key(key["api_key"])

    assert "/revoke" in visitor.get(f"/keys/{filled['key']}").text
    assert "/revoke" not in visitor.get(f"/keys/{filled['admin']}").text


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_key_lives_its_whole_life_in_the_console(browser, desk, script):
    with watched(browser, desk, java_script_enabled=script) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/keys/new"))
        page.get_by_label("Name").first.fill("Robot")
        page.get_by_label("Scope").first.fill('no "quotes"')
        page.get_by_role("button", name="Make the key").click()
        assert page.get_by_label("Name").first.input_value() == "Robot", "what was typed stays"
        assert page.locator("#f-scope").get_attribute("aria-invalid") == "true"

        page.locator("#f-scope").fill("videos.read")
        page.get_by_role("button", name="Make the key").click()
        api_key = page.locator("#api-key").inner_text()
        assert desk.server.command("keys", "show", "-", check=False).returncode
        assert page.get_by_role("button", name="Copy").first.is_visible() == script
        page.get_by_role("link", name="I have it").click()

        page.get_by_role("link", name="Edit").click()
        assert page.get_by_role("alert").count() == 0, "nothing is wrong yet"
        page.locator("#f-name").fill("Robot two")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Robot two"
        assert page.get_by_role("status").first.inner_text() == "The key is changed. Its clients’ next refresh sees it."

        page.get_by_role("link", name="Rotate").click()
        page.get_by_role("button", name="Make the next secret").click()
        assert page.locator("#api-key").inner_text() not in {"", api_key}
        page.get_by_role("link", name="I have it").click()

        page.get_by_role("link", name="Disable").click()
        page.get_by_label("Type “Robot two” to confirm").fill("Robot")
        page.get_by_role("button", name="Disable the key").click()
        assert page.get_by_text("This is not the name.").is_visible()
        page.get_by_label("Type “Robot two” to confirm").fill("Robot two")
        page.get_by_role("button", name="Disable the key").click()
        page.get_by_role("button", name="Enable").click()

        page.get_by_role("link", name="Revoke").click()
        page.get_by_label("Type “Robot two” to confirm").fill("Robot two")
        page.get_by_role("button", name="Revoke the key").click()
        assert page.get_by_role("heading", name="This key is revoked").is_visible()
        assert page.get_by_role("link", name="Revoke").count() == 0

        page.get_by_role("button", name="Sign out").click()
        assert page.get_by_text("You are signed out.").is_visible()
        page.go_back()
        page.reload()
        assert page.get_by_role("heading", name="Sign in").is_visible(), "no page is kept"


HOSTILE = [
    '<img src=x onerror="alert(1)">',
    '"><script>alert(1)</script>',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}${7*7}<%= 7*7 %>",
    "</title><script>alert(1)</script>",
    "<a hx-get=/console/keys hx-trigger=load>",
]


def intruders(page: str) -> list[str]:
    """The elements of a page that would run what somebody wrote."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            runs = any(name.startswith(("on", "hx-")) for name in given) or "javascript:" in (given.get("href") or "")
            if runs or tag == "img" or (tag == "script" and "src" not in given):
                found.append(self.get_starttag_text() or tag)

    Reader().feed(page)
    return found


def test_a_name_is_only_ever_text(browser, desk):
    """Every member of a key that somebody can fill, on every page that shows it."""
    made = [
        desk.server.create_key(
            "--name",
            text,
            "--subject",
            text.replace(" ", "_"),
            "--tag",
            f"t={text}",
            "--claim",
            f"c={text}",
        )["key_id"]
        for text in HOSTILE
    ]
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/keys"))
        for key_id, text in zip(made, HOSTILE, strict=True):
            for part in ("", "/edit", "/rotate", "/revoke"):
                page.goto(desk.url(f"/keys/{key_id}{part}"))
                assert text in page.get_by_role("heading", level=1).inner_text()
                assert page.locator("main script, main img, main [onload], main [hx-get]").count() == 0
        assert "49" not in page.locator("main").inner_text()


def test_the_keyboard_alone_skips_the_menu_and_reaches_the_page(browser, desk):
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/keys"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_a_link_on_another_site_leads_into_the_console(browser, desk):
    """The cookie is strict, so the browser leaves it at home for the first request."""
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        other = desk.url("/keys").replace("127.0.0.1", "localhost")
        page.goto(other)  # another site: nobody is signed in there
        page.evaluate(f"location.href = '{desk.url('/connect')}'")
        page.get_by_role("heading", level=1, name="Connect").wait_for()
