"""What keeps strangers out of the console: the Host, the origin and the token of a form, and what browsers are told."""

import re
from importlib.resources import files
from urllib.parse import quote

import httpx2
import pytest

from hourpass.server import console
from hourpass.server.console.pages import SECTIONS
from hourpass.server.console.rendering import own_path

PAGES = ["/sign-in", "/keys", "/nothing-here", "/connect"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_tells_the_browser_what_it_may_do(desk, path):
    headers = desk.visitor().by_link().get(path).headers

    policy = dict(part.partition(" ")[::2] for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_files_never_expire_and_nothing_else_is_kept(desk):
    page = desk.visitor().get("/sign-in").text
    found = [part.partition('"')[0] for part in page.split("/console/assets/")[1:]]

    assert len(found) == 3
    for name in found:
        plain = desk.visitor(**{"accept-encoding": "identity"}).get(f"/assets/{name}")
        packed = desk.visitor(**{"accept-encoding": "gzip"}).get(f"/assets/{name}")
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
    assert desk.visitor().get("/assets/htmx.LICENSE").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3601", "localhost.evil.example", "10.9.8.7"])
@pytest.mark.parametrize("path", ["/sign-in", "/keys", "/assets/console.css"])
def test_a_name_that_is_not_ours_gets_nothing(desk, host, path):
    """DNS rebinding."""
    answer = desk.visitor(host=host).get(path)

    assert (answer.status_code, f"not known as {host}:" in answer.text) == (421, True)
    assert "set-cookie" not in answer.headers


def test_a_name_of_the_setting_is_ours(tmp_path):
    from tests.console.conftest import Desk, start

    server = start(tmp_path, admin_hosts="admin.example.com")
    try:
        assert Desk(server).visitor(host="admin.example.com").get("/sign-in").status_code == 200
        assert Desk(server).visitor(host="other.example.com").get("/sign-in").status_code == 421
    finally:
        server.kill()


FOREIGN = {
    "no token": ({}, {"form": ""}),
    "another token": ({}, {"form": "0" * 64}),
    "another site": ({"sec-fetch-site": "cross-site"}, {}),
    "a sibling": ({"sec-fetch-site": "same-site"}, {}),
    "another origin": ({"origin": "https://evil.example"}, {}),
    "another port": ({"origin": "http://127.0.0.1:1"}, {}),
}


@pytest.mark.parametrize("how", FOREIGN)
def test_a_form_that_is_not_ours_does_nothing(desk, how):
    headers, fields = FOREIGN[how]
    visitor = desk.visitor().by_link()
    key = desk.server.create_key("--name", "Stays")
    visitor.get(f"/keys/{key['key_id']}/revoke")
    answer = visitor.post(f"/keys/{key['key_id']}/revoke", {"confirm": "Stays", **fields}, headers=headers)

    assert answer.status_code == 403
    assert ">active<" in visitor.get(f"/keys/{key['key_id']}").text.replace("</svg>", ">")


@pytest.mark.parametrize("how", FOREIGN)
def test_a_foreign_form_signs_nobody_in(desk, how):
    """Login CSRF: the victim would work in the attacker's sign-in."""
    headers, fields = FOREIGN[how]
    visitor = desk.visitor()
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", {"api_key": desk.admin_key("auditor")["api_key"], **fields}, headers=headers)

    assert answer.status_code == 403
    assert visitor.get("/keys").status_code == 303


def test_the_token_of_one_sign_in_is_not_that_of_another(desk):
    one, other = desk.visitor().by_link(), desk.visitor().by_link()
    one.form = other.form

    assert one.post("/sign-out").status_code == 403


def test_the_cookie_is_for_this_console_alone(desk):
    visitor = desk.visitor()
    cookie = visitor.get("/sign-in").headers["set-cookie"]
    port = desk.server.admin.rpartition(":")[2]

    assert cookie.startswith(f"hourpass_door_{port}=")
    assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]


def test_behind_https_the_cookie_is_secure_and_no_other_host_can_set_it(desk):
    behind = desk.visitor(**{"x-forwarded-proto": "https"})
    cookie = behind.get("/sign-in").headers["set-cookie"]

    assert cookie.startswith("__Host-hourpass_")
    assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
    behind.by_link()
    over_http = desk.visitor()
    over_http.cookies = behind.cookies
    assert over_http.get("/keys").status_code == 303


@pytest.mark.parametrize("told", ["HTTPS", "https, http", "https,https"])
def test_https_is_known_however_proxies_spell_it(desk, told):
    cookie = desk.visitor(**{"x-forwarded-proto": told}).get("/sign-in").headers["set-cookie"]

    assert cookie.startswith("__Host-")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/keys", "/sign-in"])
def test_only_reading_and_forms_are_methods(desk, method, path):
    answer = desk.visitor().ask(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_page_says_how_it_may_be_asked(desk):
    visitor = desk.visitor().by_link()
    to_read, to_act = visitor.post("/audit"), visitor.get("/keys/x/enable")

    assert (to_read.status_code, to_read.headers["allow"]) == (405, "GET, HEAD")
    assert (to_act.status_code, to_act.headers["allow"]) == (405, "POST")
    assert visitor.post("/nothing-here").status_code == 404


def test_no_link_shows_a_message_about_what_was_not_done(desk):
    visitor = desk.visitor().by_link()

    def told(by) -> str:
        """The name of the cookie that says what was done."""
        return next(name for name in by.cookies if "told" in name)

    assert "is refused" not in visitor.get("/inspect?done=braked").text
    assert visitor.post("/signing-keys/rotate").headers["location"] == "/console/signing-keys"
    words = "A new signing key is published."
    name = told(visitor)
    made = visitor.cookies[name]
    assert words not in visitor.get("/sessions").text, "it is not about this page"
    assert words in visitor.get("/signing-keys").text
    assert words not in visitor.get("/signing-keys").text, "a page that is loaded again does not tell it again"
    other = desk.visitor().by_link()
    other.cookies[name] = made
    assert words not in other.get("/signing-keys").text, "it is another's"
    assert visitor.post("/sign-out").headers["location"] == "/console/sign-in"
    assert "You are signed out." in visitor.get("/sign-in").text
    assert "You are signed out." not in visitor.get("/sign-in").text


def test_what_cannot_be_read_tells_the_browser_what_it_may_do(desk):
    answer = desk.visitor().by_link().post("/keys/new", {"name": "x" * 70_000})

    assert answer.status_code == 413
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_stranger_cannot_claim_https(tmp_path):
    from tests.console.conftest import Desk, start

    server = start(tmp_path, trusted_proxies="192.0.2.1")
    try:
        visitor = Desk(server).visitor(**{"x-forwarded-proto": "https"})
        assert visitor.get("/sign-in").headers["set-cookie"].startswith("hourpass_")
    finally:
        server.kill()


def test_a_console_on_a_unix_socket_needs_a_forwarded_port(tmp_path):
    from tests.console.conftest import start

    socket = tmp_path / "admin.sock"
    server = start(tmp_path, admin_listen=f"unix:{socket}")
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket))) as client:
            assert client.get("http://localhost:4000/console/sign-in").status_code == 200
            assert client.get("http://evil.example/console/sign-in").status_code == 421
            assert client.get("http://unix/console/sign-in").status_code == 421
    finally:
        server.kill()


@pytest.mark.parametrize("planted", ["planted", "p" * 43])
def test_a_cookie_that_another_port_planted_keeps_nobody_out(desk, planted):
    """A cookie does not tell ports apart, so any server on this host can set one of our name."""
    visitor = desk.visitor().by_link()
    [(name, value)] = visitor.cookies.items()
    visitor.cookies = {}
    many = f"{name}={planted}; " * 20
    both = {"cookie": f"{many}{name}={value}"}

    page = visitor.get("/keys", headers=both)
    assert page.status_code == 200
    assert visitor.post("/sign-out", headers=both).headers["location"] == "/console/sign-in"


def test_two_sign_ins_in_one_browser_sign_nobody_in_and_signing_in_again_ends_both(desk):
    """The one that was planted is the attacker's, and who works in it gives him what they do."""
    mine, planted = desk.visitor().by_link(), desk.visitor().by_key(desk.admin_key("auditor")["api_key"])
    [(name, value)], [other] = mine.cookies.items(), planted.cookies.values()
    both = {"cookie": f"{name}={other}; {name}={value}"}
    mine.cookies = {}
    assert mine.get("/keys", headers=both).status_code == 303

    link = desk.link()
    mine.get(link)
    [(door, door_id)] = mine.cookies.items()
    mine.cookies = {}
    entered = mine.post(link, headers={"cookie": f"{both['cookie']}; {door}={door_id}"})
    assert entered.status_code == 303
    mine.cookies[name] += f"; {name}={other}"
    assert mine.get("/keys").status_code == 200


def test_the_door_leaves_a_sign_in_alone(desk):
    """A page of a stranger can lead a browser to the door, and the browser leaves the strict cookie at home then."""
    visitor = desk.visitor().by_link()
    before = dict(visitor.cookies)
    visitor.cookies = {}
    answer = visitor.get("/sign-in", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 200
    assert not visitor.cookies.keys() & before.keys()
    visitor.cookies |= before
    assert visitor.get("/keys").status_code == 200


NOT_LINKS = ["", "x", "a" * 42, "a" * 44, "a" * 42 + ".", "a" * 21 + "/" + "a" * 21, "é" * 43]


@pytest.mark.parametrize("link", NOT_LINKS)
def test_what_does_not_look_like_a_link_of_ours_has_no_page(desk, link):
    visitor = desk.visitor().by_link()

    assert visitor.get(f"/sign-in/{quote(link, safe='')}").status_code == 404
    assert visitor.post(f"/sign-in/{quote(link, safe='')}").status_code == 404


ACTS = sorted({view.path for section in SECTIONS for view in section.views if view.act is not None})


@pytest.mark.parametrize("path", ["/sign-out", "/sign-out-everywhere", *ACTS])
def test_no_address_makes_a_form_for_something_else(desk, path):
    """A link that somebody follows must not show a button that does what the link says."""
    visitor = desk.visitor().by_link()
    for trick in (f"/sign-in/..{path}", f"/sign-in/{'a' * 43}/..{path}", f"/keys/..{path}", f"{path}?x=", f"{path}#"):
        page = visitor.get(quote(trick, safe="").replace("%2F", "/", 1).replace("%2F", "/", 1))
        actions = set(re.findall(r'<form[^>]* action="([^"]*)"', page.text))
        assert actions <= {"/console/sign-out"}, trick


@pytest.mark.parametrize("path", ["", "x", "/..", "/a/../b", "//evil.example", "/a?b", "/a#b", "/a/", "/a\\b", "/%2e"])
def test_a_form_leads_to_a_path_of_the_consoles_and_to_nothing_else(path):
    with pytest.raises(ValueError, match="lead"):
        own_path(path)


def test_every_form_that_changes_something_has_its_address_from_one_place():
    for template in files(console).joinpath("templates").iterdir():
        text = template.read_text()
        actions = re.findall(r'(?:action|formaction)="([^"]*)"', text)
        assert all(re.fullmatch(r"\{\{ own\(path\) \}\}|\{\{ base \}\}[a-z/-]+", each) for each in actions), (
            template.name
        )
        assert not re.search(r"hx-(?:post|put|patch|delete)", text), template.name


def test_a_form_of_the_door_is_not_one_of_a_sign_in(desk):
    visitor = desk.visitor().by_link()
    inside = visitor.form
    visitor.get("/sign-in")
    at_the_door = visitor.form

    assert visitor.post("/sign-out-everywhere", {"form": at_the_door}).status_code == 403
    assert visitor.post("/sign-in", {"form": inside, "api_key": "x"}).status_code == 403
    assert "load the page again" in visitor.post(desk.link(), {"form": inside}).text
    assert visitor.get("/keys").status_code == 200


def test_a_link_from_elsewhere_leads_in(desk):
    """The browser leaves a strict cookie at home then, so a page of ours asks once more."""
    visitor = desk.visitor()
    first = visitor.get("/keys", headers={"sec-fetch-site": "cross-site"})

    assert first.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in first.text
    assert visitor.get("/keys", headers={"sec-fetch-site": "same-origin"}).status_code == 303


def test_a_page_that_refreshes_itself_goes_to_the_door_when_nobody_is_signed_in(desk):
    answer = desk.visitor().get("/keys", headers={"hx-request": "true"})

    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/console/sign-in?to=%2Fkeys")


@pytest.mark.parametrize(("status", "path"), [(404, "/nothing-here"), (403, "/keys/new")])
def test_a_refusal_is_a_page(desk, status, path):
    visitor = desk.visitor().by_key(desk.admin_key("auditor")["api_key"])
    answer = visitor.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f">{status}<" in answer.text
    assert answer.headers["x-request-id"] in answer.text


def test_a_form_that_is_too_large_is_refused(desk):
    assert desk.visitor().by_link().post("/keys/new", {"name": "x" * 70_000}).status_code == 413


def test_a_form_of_somebody_who_is_not_signed_in_any_more_says_so(desk):
    answer = desk.visitor().post("/keys/new", {"name": "x"})

    assert answer.status_code == 401
    assert 'href="/console/sign-in"' in answer.text


def test_the_log_holds_no_link(desk):
    link = desk.link()
    desk.visitor().get(link)

    assert link.rpartition("/")[2] not in desk.server.log.read_text()
