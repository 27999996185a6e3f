"""What keeps strangers out of the console: the Host, the origin and the token of a form, and what browsers are told."""

import httpx2
import pytest

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

    assert answer.status_code == 421
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

    assert cookie.startswith(f"hourpass_{port}=")
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


def test_a_stranger_cannot_claim_https(tmp_path):
    from tests.console.conftest import Desk, start

    server = start(tmp_path, trusted_proxies="192.0.2.1")
    try:
        visitor = Desk(server).visitor(**{"x-forwarded-proto": "https"})
        assert visitor.get("/sign-in").headers["set-cookie"].startswith("hourpass_")
    finally:
        server.kill()


def test_a_console_on_a_unix_socket_is_for_who_forwards_a_port_to_it(tmp_path):
    from tests.console.conftest import start

    socket = tmp_path / "admin.sock"
    server = start(tmp_path, admin_listen=f"unix:{socket}")
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket))) as client:
            assert client.get("http://localhost:4000/console/sign-in").status_code == 200
            assert client.get("http://evil.example/console/sign-in").status_code == 421
    finally:
        server.kill()


def test_two_cookies_of_one_name_are_none(desk):
    visitor = desk.visitor().by_link()
    [(name, value)] = visitor.cookies.items()
    visitor.cookies = {}

    assert visitor.get("/keys", headers={"cookie": f"{name}=planted; {name}={value}"}).status_code == 303


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
