"""Signing in to the console and out: by a one-time link or an admin key, and what ends it."""

import json
import re
import shlex
from html import unescape

import apsw
import pytest
from tests.conftest import run_command
from tests.console.conftest import Desk, start

from hourpass.core.policy import HOUR
from hourpass.core.sign_in import IDLE, LINK_LIFETIME, hash_of
from hourpass.server.console.signing_in import LinkCommand


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server behind a proxy, under a name."""
    server = start(tmp_path_factory.mktemp("guarded"), admin_hosts="admin.test", trusted_proxies="127.0.0.1")
    yield Desk(server)
    server.kill()


def sign_ins(desk, sql: str, *parameters) -> list:
    """Rows of the database, read or changed from outside."""
    with apsw.Connection(str(desk.server.data / "hourpass.db")) as db:
        db.set_busy_timeout(5_000)
        return list(db.execute(sql, parameters))


def trail(desk) -> list[dict]:
    return json.loads(desk.server.command("audit", "--json", "--last", "50").stdout)


def test_a_page_sends_a_stranger_to_the_door_and_back(desk):
    visitor = desk.visitor()
    answer = visitor.get("/keys?state=active")

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?to=%2Fkeys%3Fstate%3Dactive")
    assert 'name="to" value="/keys?state=active"' in visitor.get(f"{desk.origin}{answer.headers['location']}").text


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "/\r\nx: y", "evil"])
def test_the_door_leads_to_no_other_site(desk, to):
    visitor = desk.visitor()
    visitor.get("/sign-in")
    key = desk.admin_key("auditor")
    answer = visitor.post("/sign-in", {"api_key": key["api_key"], "to": to})

    assert answer.headers["location"] == "/console/"


def test_a_link_is_used_up_by_its_button_and_not_by_looking_at_it(desk):
    """A chat program or a virus scanner that follows links must not sign in."""
    link = desk.link()
    first, second = desk.visitor(), desk.visitor()
    for visitor in (first, second):
        assert visitor.get(link).status_code == 200

    assert first.post(link).status_code == 303
    assert second.post(link).status_code == 403
    assert first.get("/keys").status_code == 200
    assert second.get("/keys").status_code == 303


def test_a_link_is_over_after_a_minute(desk):
    link = desk.link()
    link_id = link.rpartition("/")[2]
    sign_ins(desk, "update one_time_links set made_at = made_at - ? where id_hash = ?", LINK_LIFETIME, hash_of(link_id))
    visitor = desk.visitor()
    visitor.get(link)
    answer = visitor.post(link)

    assert answer.status_code == 403
    assert "older than a minute" in answer.text


def test_a_sign_in_by_a_link_is_that_of_the_owner_at_the_command_line(desk):
    visitor = desk.visitor().by_link()
    page = visitor.get("/keys").text

    assert re.search(r'class="name">cli:\w+@', page)
    assert 'class="soft">owner<' in page
    [line] = [line for line in trail(desk) if line["event"] == "console.signed_in"][-1:]
    assert line["by"] == "link"
    assert line["actor"].startswith("cli:")
    assert line["address"] == "127.0.0.1"


@pytest.mark.parametrize("role", ["owner", "operator", "auditor"])
def test_a_sign_in_by_an_admin_key_has_its_role(desk, role):
    key = desk.admin_key(role, "--name", f"Ada the {role}")
    page = desk.visitor().by_key(key["api_key"]).get("/keys").text

    assert f'class="name">Ada the {role}<' in page
    assert f'class="soft">{role}<' in page
    [line] = [line for line in trail(desk) if line["event"] == "console.signed_in"][-1:]
    assert (line["by"], line["actor"]) == ("key", f"key:{key['key_id']}")


def test_a_key_that_signs_in_opens_no_grant_and_stands_nowhere(desk):
    key = desk.admin_key("operator")
    desk.visitor().by_key(key["api_key"])

    assert json.loads(desk.server.command("grants", "list", "--key", key["key_id"], "--json").stdout) == []
    assert key["api_key"] not in desk.server.log.read_text()


def test_an_ordinary_key_does_not_sign_in(desk):
    key = desk.server.create_key()
    visitor = desk.visitor()
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", {"api_key": key["api_key"]})

    assert answer.status_code == 403
    assert "not an admin key" in answer.text
    assert key["api_key"] not in answer.text


@pytest.mark.parametrize("change", ["disable", "revoke", "update", "rotate"])
def test_a_sign_in_ends_when_its_key_is_changed(desk, change):
    key = desk.admin_key("operator")
    visitor = desk.visitor().by_key(key["api_key"])
    more = {"update": ["--name", "Another"], "rotate": ["--now"]}.get(change, [])
    desk.server.command("keys", change, key["key_id"], *more)

    assert visitor.get("/keys").status_code == 303


@pytest.mark.parametrize(
    ("change", "back"), [(["disable"], ["enable"]), (["update", "--name", "B"], ["update", "--name", "A"])]
)
def test_a_sign_in_that_ended_stays_ended_when_its_key_is_changed_back(desk, change, back):
    key = desk.admin_key("operator", "--name", "A")
    visitor = desk.visitor().by_key(key["api_key"])
    for word, *more in (change, back):
        desk.server.command("keys", word, key["key_id"], *more)

    assert visitor.get("/keys").status_code == 303


def test_an_owner_sees_who_is_signed_in_and_ends_it(desk):
    key = desk.admin_key("operator", "--name", "Grace")
    grace, owner = desk.visitor().by_key(key["api_key"]), desk.visitor().by_link()
    page = owner.get("/sessions").text.partition("Other people")[2]
    path = re.search(
        r'href="/console(/sessions/si_\w+/end)"[^>]*>End<span class="unseen"> the sign-in of Grace<', page
    )[1]

    assert "127.0.0.1" in page
    assert "Ends 1 sign-in from 127.0.0.1." in owner.get(path).text
    assert owner.post(path, {"confirm": "Grace"}).status_code == 303
    assert "The sign-in has ended." in owner.get("/sessions").text
    assert grace.get("/keys").status_code == 303
    [line] = [line for line in trail(desk) if line["event"] == "console.signed_out"][-1:]
    assert (line["ended"], line["who"]) == (1, f"key:{key['key_id']}")
    assert owner.get(path).status_code == 404


def test_who_is_not_an_owner_only_sees_who_is_signed_in(desk):
    desk.visitor().by_link()
    auditor = desk.visitor().by_key(desk.admin_key("auditor")["api_key"])
    page = auditor.get("/sessions").text

    assert "by a one-time link" in page.partition("Other people")[2]
    assert "/end" not in page
    assert auditor.get("/sessions/si_0/end").status_code == 403


def test_a_delegated_admin_key_sees_only_its_own_sign_ins(desk):
    desk.visitor().by_link()
    confined = ("--subject-prefix", "acme/", "--max-scope", "a.b")
    page = desk.visitor().by_key(desk.admin_key("operator", *confined)["api_key"]).get("/sessions").text

    assert (page.count('data-label="Began"'), "Other people" in page) == (1, False)


@pytest.mark.parametrize(
    ("host", "proto", "warned"), [("127.0.0.1", "", False), ("admin.test", "", True), ("admin.test", "https", False)]
)
def test_a_page_to_sign_in_that_is_not_encrypted_says_so(tmp_path_factory, guarded, host, proto, warned):
    headers = {"host": host, **({"x-forwarded-proto": proto} if proto else {})}

    assert ("This page is not encrypted" in guarded.visitor(**headers).get("/sign-in").text) is warned


def command_on(page: str) -> list[str]:
    """The command that a page to sign in shows, as a shell reads it."""
    return shlex.split(unescape(re.search(r'<code id="command">(.*?)</code>', page)[1]))


def test_the_page_to_sign_in_shows_the_command_that_lets_this_browser_in(desk):
    name, *arguments = command_on(desk.visitor().get("/sign-in").text)

    link = run_command(*arguments).stdout.strip()

    assert (name, link.startswith(f"{desk.origin}/console/sign-in/")) == ("hourpass", True)
    visitor = desk.visitor()
    visitor.get(link)
    assert visitor.post(link).status_code == 303


@pytest.mark.parametrize(
    ("listen", "url", "said"),
    [
        ("127.0.0.1:3601", "http://127.0.0.1:3601", "hourpass console"),
        ("127.0.0.1:3601", "http://localhost:3601", "hourpass console"),
        ("127.0.0.1:3601", "http://localhost:4000", "hourpass console --url http://localhost:4000"),
        ("unix:/run/a.sock", "http://localhost:3601", "hourpass console --url http://localhost:3601"),
        ("0.0.0.0:3601", "https://admin.example.com", "hourpass console --url https://admin.example.com"),
        ("127.0.0.1:3601", "http://localhost:';x", "hourpass console --url 'http://localhost:'\"'\"';x'"),
    ],
)
def test_the_command_says_only_what_it_would_not_find_by_itself(listen, url, said):
    assert LinkCommand((), listen, names_database=False).text(url) == said
    with_data = said.replace("console", "console --data '/a b'")
    assert LinkCommand(("--data", "/a b"), listen, names_database=False).text(url) == with_data


def test_a_sign_in_that_nobody_uses_ends_after_an_hour(desk):
    visitor = desk.visitor().by_link()
    [id_hash] = [hash_of(value) for value in visitor.cookies.values()]
    sign_ins(desk, "update sign_ins set seen_at = seen_at - ? where id_hash = ?", IDLE, id_hash)

    assert visitor.get("/keys").status_code == 303


def test_a_use_is_noted_and_what_a_page_asks_by_itself_is_not_one(desk):
    visitor = desk.visitor().by_link()
    [id_hash] = [hash_of(value) for value in visitor.cookies.values()]
    sign_ins(desk, "update sign_ins set seen_at = seen_at - ? where id_hash = ?", HOUR // 2, id_hash)
    [(before,)] = sign_ins(desk, "select seen_at from sign_ins where id_hash = ?", id_hash)

    visitor.get("/keys", headers={"hx-request": "true"})
    assert sign_ins(desk, "select seen_at from sign_ins where id_hash = ?", id_hash) == [(before,)]
    visitor.get("/keys")
    assert sign_ins(desk, "select seen_at from sign_ins where id_hash = ?", id_hash) > [(before,)]


def test_signing_out_ends_this_sign_in_and_no_other(desk):
    one, other = desk.visitor().by_link(), desk.visitor().by_link()
    cookie = dict(one.cookies)
    answer = one.post("/sign-out")

    assert answer.headers["location"] == "/console/sign-in"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    [line] = [line for line in trail(desk) if line["event"] == "console.signed_out"][-1:]
    assert line["ended"] == 1
    one.cookies = cookie
    assert one.get("/keys").status_code == 303
    assert other.get("/keys").status_code == 200


def test_signing_out_everywhere_ends_all_of_a_persons_sign_ins_and_nobody_elses(desk):
    ada = desk.admin_key("operator")
    one, two = desk.visitor().by_key(ada["api_key"]), desk.visitor().by_key(ada["api_key"])
    other = desk.visitor().by_link()
    assert one.get("/sessions").text.partition("Other people")[0].count('data-label="Began"') == 2

    assert one.post("/sign-out-everywhere").status_code == 303
    assert [each.get("/keys").status_code for each in (one, two, other)] == [303, 303, 200]
    [line] = [line for line in trail(desk) if line["event"] == "console.signed_out"][-1:]
    assert line["ended"] == 2


def test_a_new_id_comes_with_every_sign_in(desk):
    """Session fixation: an id that somebody planted before is worth nothing afterwards."""
    visitor = desk.visitor()
    planted = {f"hourpass_{desk.server.admin.rpartition(':')[2]}": "p" * 43}
    visitor.cookies = dict(planted)
    visitor.by_link()
    attacker = desk.visitor()
    attacker.cookies = planted

    assert visitor.cookies != planted
    assert attacker.get("/keys").status_code == 303


def test_signing_in_again_in_the_same_browser_ends_the_sign_in_before(desk):
    visitor = desk.visitor().by_link()
    before = dict(visitor.cookies)
    link = desk.link()
    visitor.get(link)
    assert visitor.post(link).status_code == 303
    stale = desk.visitor()
    stale.cookies = before

    assert visitor.cookies != before
    assert stale.get("/keys").status_code == 303


def test_the_database_holds_no_id_of_a_sign_in_or_a_link(desk):
    link = desk.link()
    visitor = desk.visitor().by_link()
    ids = [link.rpartition("/")[2], *visitor.cookies.values()]
    files = b"".join(path.read_bytes() for path in desk.server.data.iterdir() if path.is_file())

    assert len(ids) == 2
    assert not [each for each in ids if each.encode() in files]


@pytest.mark.parametrize("by", ["key", "link"])
def test_five_attempts_a_minute_may_fail_for_each_address_and_good_ones_are_never_refused(own_desk, by):
    """Behind a tunnel everybody has one address, and who sends wrong keys must not lock the others out."""
    visitor = own_desk.visitor()
    visitor.get("/sign-in")

    def wrong(n: int):
        data = {"api_key": f"wrong-{n}"} if by == "key" else None
        return visitor.post("/sign-in" if by == "key" else f"/sign-in/{n:043}", data)

    failed = [wrong(n).status_code for n in range(5)]
    answer = wrong(6)

    assert failed == [403] * 5
    assert "wrong-" not in own_desk.server.log.read_text()
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    [line] = [line for line in trail(own_desk) if line["event"] == "console.refused"]
    assert (line["by"], line["times"], line["address"]) == (by, 1, "127.0.0.1"), "no more than one a minute"
    own_desk.visitor().by_key(own_desk.admin_key("owner")["api_key"])
    own_desk.visitor().by_link()
    elsewhere = own_desk.visitor(**{"x-forwarded-for": "192.0.2.9"})
    elsewhere.get("/sign-in")
    assert elsewhere.post("/sign-in", {"api_key": "wrong"}).status_code == 403


def test_a_key_signs_in_five_times_a_minute_and_other_keys_do_too(desk):
    """Each time is a line of the audit trail, and a customer may have a delegated key."""
    busy, other = desk.admin_key("auditor")["api_key"], desk.admin_key("auditor")["api_key"]
    visitor = desk.visitor()
    visitor.get("/sign-in")
    door, form = dict(visitor.cookies), visitor.form

    def enter(key: str) -> int:
        visitor.cookies = dict(door)
        return visitor.post("/sign-in", {"api_key": key, "form": form}).status_code

    assert [enter(busy) for _ in range(6)] == [303] * 5 + [429]
    assert enter(other) == 303


def test_a_switched_off_console_answers_like_any_unknown_route(tmp_path):
    from tests.console.conftest import Desk, start

    server = start(tmp_path, console="false")
    try:
        answer = Desk(server).visitor().get("/keys")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        refused = server.command("console", "--admin-listen", server.admin, check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "has no console: it says 404" in refused.stderr
    finally:
        server.kill()
