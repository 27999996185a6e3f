"""What the pages do besides keys: tokens, signing keys, grants. By plain HTTP, as a browser without JavaScript."""

import json
import re
from pathlib import Path

import httpx2
import pytest
from tests.console.conftest import sign_in, watched
from tests.console.test_pages import problems_of


def pair_of(desk, *options: str) -> tuple[str, dict]:
    """A key's id, and its first pair."""
    key = desk.server.create_key("--name", "Robot", "--scope", "videos.read", *options)
    return key["key_id"], httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).json()


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_is_explained_and_revoked(desk, kind):
    key_id, pair = pair_of(desk)
    visitor = desk.visitor().by_link()
    visitor.get("/inspect")
    page = visitor.post("/inspect", {"token": pair[kind]}).text

    assert "It is accepted" in page
    assert pair[kind] not in page, "a token is never shown again"
    assert f"/console/keys/{key_id}" in page
    assert "videos.read" in page
    done = "access" if kind == "access_token" else "grant"
    assert (
        visitor.post("/inspect/revoke", {"again": pair[kind], "confirm": "Robot"}).headers["location"]
        == "/console/inspect"
    )
    assert {"access": "Its grant goes on.", "grant": "The grant of the token is revoked"}[done] in visitor.get(
        "/inspect"
    ).text
    assert "It is not accepted" in visitor.post("/inspect", {"token": pair[kind]}).text
    refused = visitor.post("/inspect/revoke", {"again": pair[kind] + "x"})
    assert (refused.status_code, pair[kind] in refused.text) == (422, False)


def test_no_token_of_ours_ends_a_grant_before_its_name_is_typed_also_if_it_is_not_accepted(desk):
    _, pair = pair_of(desk, "--retry-window", "0")
    old = pair["refresh_token"]
    new = httpx2.post(f"{desk.server.url}/auth/refresh", json={"refreshToken": old}).json()
    visitor = desk.visitor().by_link()
    visitor.get("/inspect")

    assert "It is not accepted" in visitor.post("/inspect", {"token": old}).text
    for token in (old, new["refresh_token"]):
        for confirm in ({}, {"confirm": "robot"}):
            asked = visitor.post("/inspect/revoke", {"again": token, **confirm})
            assert (asked.status_code, "This is not the name" in asked.text) == (422, True)
    assert "It is accepted" in visitor.post("/inspect", {"token": new["refresh_token"]}).text
    assert visitor.post("/inspect/revoke", {"again": old, "confirm": "Robot"}).status_code == 303
    assert "It is not accepted" in visitor.post("/inspect", {"token": new["refresh_token"]}).text


def test_what_a_token_says_is_accessible(browser, desk):
    _, pair = pair_of(desk)
    with watched(browser, desk) as context:
        page = sign_in(context, desk)
        page.goto(desk.url("/inspect"))
        page.get_by_label("Token").fill(pair["access_token"])
        page.get_by_role("button", name="Inspect").click()
        page.get_by_text("Revoke this token").click()
        page.get_by_label("Paste the token again").wait_for()

        assert problems_of(page) == []
        assert pair["access_token"] not in page.content()


@pytest.mark.parametrize("text", ["", "x", "a.b.c", '"><script>alert(1)</script>', "é" * 9_000])
def test_a_text_that_is_not_a_token_is_said_to_be_none(desk, text):
    visitor = desk.visitor().by_link()
    visitor.get("/inspect")
    answer = visitor.post("/inspect", {"token": text})

    assert answer.status_code == 200
    assert "It is not accepted" in answer.text
    assert "<script>alert" not in answer.text


def test_the_brake_needs_its_words_and_refuses_every_token(own_desk):
    _, pair = pair_of(own_desk)
    visitor = own_desk.visitor().by_link()
    visitor.get("/inspect/brake")

    assert visitor.post("/inspect/brake", {"confirm": "token"}).status_code == 422
    assert visitor.post("/inspect/brake", {"confirm": "every token"}).status_code == 303
    visitor.get("/inspect")
    assert "It is not accepted" in visitor.post("/inspect", {"token": pair["access_token"]}).text


def test_signing_keys_rotate_and_are_withdrawn_by_their_name(own_desk):
    visitor = own_desk.visitor().by_link()
    visitor.get("/signing-keys/rotate")
    assert visitor.post("/signing-keys/rotate").status_code == 303
    page = visitor.get("/signing-keys").text

    assert {"signing", "published"} <= set(re.findall(r">([a-z-]+)</span>", page.replace("</svg>", ">")))
    kid = json.loads(own_desk.server.command("signing-keys", "list", "--json").stdout)[0]["kid"]
    answer = visitor.post("/signing-keys/rotate")
    assert (answer.status_code, "is waiting already" in answer.text) == (409, True)
    asked = visitor.get(f"/signing-keys/{kid}/withdraw").text
    assert "In the last hour, apart from this minute, no access token came out. There is no live grant." in asked
    assert visitor.post(f"/signing-keys/{kid}/withdraw", {"confirm": "another"}).status_code == 422
    assert visitor.post(f"/signing-keys/{kid}/withdraw", {"confirm": kid}).status_code == 303
    assert kid not in visitor.get("/signing-keys").text


def test_an_end_says_in_numbers_what_it_ends(desk):
    key_id, pair = pair_of(desk)
    httpx2.post(f"{desk.server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]}).raise_for_status()
    visitor = desk.visitor().by_link()
    told = {part: visitor.get(f"/keys/{key_id}/{part}").text for part in ("revoke", "rotate", "disable")}

    assert all("1 client refreshed in the last hour." in page for page in told.values())
    assert "Ends 1 live grant and all access tokens at once." in told["revoke"]
    assert "Ends 1 live grant and all access tokens at once." in told["rotate"]
    assert "1 live grant cannot refresh until you enable the key again." in told["disable"]


def test_a_disabled_keys_token_is_said_to_be_that_and_its_key_is_not_rotated(desk):
    key_id, pair = pair_of(desk)
    visitor = desk.visitor().by_link()
    asked = visitor.get(f"/keys/{key_id}/disable").text
    assert "The access tokens that are out end within a second. They stay ended when you enable the key again." in asked
    visitor.post(f"/keys/{key_id}/disable", {"confirm": "Robot"})
    told = {kind: visitor.post("/inspect", {"token": pair[kind]}).text for kind in ("access_token", "refresh_token")}
    page, rotate = visitor.get(f"/keys/{key_id}").text, visitor.get(f"/keys/{key_id}/rotate").text

    assert all("Its API key is disabled until somebody enables it." in each for each in told.values())
    assert f"/keys/{key_id}/rotate" not in page
    assert "This key is disabled, and gets no new secret" in rotate
    assert "Replace its secret instead" not in visitor.get(f"/keys/{key_id}/leaked").text


def test_a_refresh_token_of_a_grant_that_ended_says_when_and_no_end_that_is_ahead(desk):
    key_id, pair = pair_of(desk)
    visitor = desk.visitor().by_link()
    ahead = ["<dt>Ends if it is not used</dt>", "<dt>Ends in any case</dt>"]
    page = visitor.post("/inspect", {"token": pair["refresh_token"]}).text
    assert ([words in page for words in ahead], "<dt>Ended</dt>" in page) == ([True, True], False)

    desk.server.command("keys", "revoke", key_id)
    page = visitor.post("/inspect", {"token": pair["refresh_token"]}).text
    assert ([words in page for words in ahead], "<dt>Ended</dt>" in page) == ([False, False], True)


def test_a_rotation_that_is_under_way_says_until_when(desk):
    key = desk.server.create_key("--name", "Robot")
    visitor = desk.visitor().by_link()
    path = f"/keys/{key['key_id']}/rotate"
    visitor.get(path)
    made = visitor.post(path, {"how": "overlap", "overlap": "24"}).text
    assert "and goes on for 1 d after that." in made
    assert "A new secret waits for its first use" in visitor.get(path).text
    api_key = re.search(r'id="api-key">([^<]+)<', made)[1]
    httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": api_key}).raise_for_status()
    page = visitor.get(path).text

    assert "A rotation is under way" in page
    assert 'name="overlap"' not in page
    assert 'value="now"' in page, "after a leak nobody waits"


def test_a_grant_is_found_by_its_id_and_by_its_keys(desk):
    key_id, _ = pair_of(desk)
    [grant] = json.loads(desk.server.command("grants", "list", "--key", key_id, "--json").stdout)
    visitor = desk.visitor().by_link()
    found = visitor.get(f"/grants?key={grant['grant_id'].upper()}")

    assert found.headers["location"] == f"/console/grants/{grant['grant_id']}?key={key_id}"
    assert grant["grant_id"] in visitor.get(f"/grants?key={key_id}").text
    assert "No key and no grant is like that." in visitor.get(f"/grants?key={'0' * 32}").text


def test_a_search_for_grants_takes_a_name_and_says_what_it_cannot_take(desk):
    names = {"Twelve1Chars": {}, "Grants of one": {}, "Grants of two": {}}
    for name in names:
        key = desk.server.create_key("--name", name)
        httpx2.post(f"{desk.server.url}/auth/api-key", json={"apiKey": key["api_key"]}).raise_for_status()
        [names[name]] = json.loads(desk.server.command("grants", "list", "--key", key["key_id"], "--json").stdout)
    visitor = desk.visitor().by_link()
    for name in ("Twelve1Chars", "grants of one"):
        assert visitor.get(f"/grants?key={name}").text.count('role="rowheader"') == 1, name
    several = visitor.get("/grants?key=Grants of").text
    part = visitor.get(f"/grants?key={names['Grants of one']['grant_id'][-8:]}").text

    assert 'href="/console/keys?q=Grants%20of">Choose one of them</a>' in several
    assert "A grant is found by its whole id, which its page shows. This is a part of one." in part


def test_a_grant_is_revoked(desk):
    key_id, _ = pair_of(desk)
    [grant] = json.loads(desk.server.command("grants", "list", "--key", key_id, "--json").stdout)
    visitor = desk.visitor().by_link()
    visitor.get(f"/grants/{grant['grant_id']}/revoke")
    answer = visitor.post(f"/grants/{grant['grant_id']}/revoke", {"key": key_id, "confirm": "Robot"})
    page = visitor.get(f"{desk.origin}{answer.headers['location']}").text

    assert "The grant is revoked" in page
    assert "<dt>Ended</dt>" in page
    assert "Ends if it is not refreshed" not in page
    assert ">revoked<" in page.replace("</svg>", ">")


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_proxys_file_has_the_servers_address_in_it(tmp_path, name):
    from tests.console.conftest import Desk, start

    server = start(tmp_path, issuer="https://auth.acme.test")
    try:
        answer = Desk(server).visitor().by_link().get(f"/connect/{name}")
    finally:
        server.kill()
    [source] = (Path(__file__).parents[2] / "deploy" / "proxies").rglob(name)

    assert f'filename="{name}"' in answer.headers["content-disposition"]
    ours = {"127.0.0.1:3600": f"127.0.0.1:{server.port}", "api.example.com": "auth.acme.test"}
    expected = source.read_text("utf-8")
    for old, new in ours.items():
        assert old in expected
        expected = expected.replace(old, new)
    assert answer.text == expected
