"""The page that imports keys: it says first what would happen, and shows no key."""

import json
import re
from html import unescape
from types import SimpleNamespace
from typing import ClassVar

import pytest
from tests.console.conftest import Desk, start
from tests.console.test_pages import HOSTILE, intruders
from tests.server.test_slow_hashes import pbkdf2_of

from hourpass.admin.shapes import ImportedKeys
from hourpass.core.errors import ExtraMissing
from hourpass.server.console.pages.key_import import VIEWS
from hourpass.server.console.rendering import render_page
from hourpass.server.keys.importing import TOGETHER

FRAME = {
    "visit": SimpleNamespace(
        who="ada",
        server="hourpass.example",
        person=SimpleNamespace(role="owner"),
        caller=SimpleNamespace(subject_prefix=None),
    ),
    "now": 0,
    "here": "Keys",
    "menu": [],
    "form_token": "",
}
"""What every page has."""

KEY = "acme_live_Zk3vQ8mW1xT6bY9cR4nLp2D"
OTHER = "acme_live_pL2sD7fG5hJ9kM3nB8vCq4F"
WEAK = "aaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A server of these tests' own, so that what one test counts no other test makes."""
    server = start(tmp_path_factory.mktemp("import"))
    yield Desk(server)
    server.kill()


def lines_of(*rows: dict) -> str:
    """Lines as a browser sends them."""
    return "\r\n".join(json.dumps(row) for row in rows)


def sent(visitor, how: str, lines: str, **fields: str):
    return visitor.post("/keys/import", {"how": how, "lines": lines, **fields})


def counts(page: str) -> dict[str, int]:
    found = re.findall(r"<dt>(Created|Updated|Unchanged|Failed)</dt><dd>([\d,]+)</dd>", page)
    return {word.lower(): int(number.replace(",", "")) for word, number in found}


def names(desk) -> list[str]:
    return sorted(key["name"] for key in json.loads(desk.server.command("keys", "list", "--json").stdout))


def test_a_look_changes_nothing_and_an_import_does_what_it_said(desk):
    visitor = desk.visitor().by_link()
    lines = lines_of({"key": KEY, "name": "Acme"}, {"key": OTHER, "name": "Globex"})
    before = names(desk)
    look = sent(visitor, "look", lines)
    assert (look.status_code, names(desk)) == (200, before)
    done = sent(visitor, "import", lines)
    again = sent(visitor, "import", lines)

    assert counts(look.text) == counts(done.text) == {"created": 2, "updated": 0, "unchanged": 0, "failed": 0}
    assert counts(again.text)["unchanged"] == 2, "a reload does no harm"
    assert names(desk) == sorted([*before, "Acme", "Globex"])
    assert "Paste again to import" in look.text
    assert "The new keys" not in look.text + again.text
    new = unescape(re.search(r'href="/console(/audit[^"]+)">The new keys', done.text)[1])
    assert re.findall(r">(Acme|Globex)</a>", visitor.get(new).text) == ["Globex", "Acme"]
    assert "Paste again" not in done.text
    key_id = visitor.post("/keys/find", {"api_key": KEY}).headers["location"]
    assert "Acme" in visitor.get(key_id.removeprefix("/console")).text


def test_a_key_is_found_by_its_text_also_if_only_a_slow_hash_of_it_is_known(desk):
    visitor = desk.visitor().by_link()
    text = KEY[::-1]
    row = {"algorithm": "django", "hash": pbkdf2_of(text), "lookup": text[:9], "name": "Initech"}
    assert counts(sent(visitor, "import", lines_of(row)).text)["created"] == 1

    found = visitor.post("/keys/find", {"api_key": text})
    assert "Initech" in visitor.get(found.headers["location"].removeprefix("/console")).text
    assert visitor.post("/keys/find", {"api_key": text + "x"}).status_code == 404


def test_an_import_that_lacks_a_package_says_which_and_what_was_done_before():
    """Batches are imported one after another, and one of them may need a package that the server does not have."""

    class Asked:
        now = 0
        form: ClassVar[dict] = {"how": "import", "lines": "\n".join('{"key": "x"}' for _ in range(TOGETHER + 1))}
        batches: ClassVar[list] = []

        def import_rows(self, batch):
            if self.batches:
                raise ExtraMissing.of("import", "bcrypt needs an extra")
            self.batches.append(batch)
            return ImportedKeys(created=len(batch.rows))

    [view] = VIEWS
    shown = view.act(Asked())
    words = render_page("import_keys.html", {**shown.values, **FRAME}).decode()

    assert shown.status == 422
    assert counts(words)["created"] == TOGETHER
    assert "The server cannot import these lines: " in words
    assert "bcrypt" in words


def test_what_is_not_the_word_import_is_only_a_look(desk):
    lines = lines_of({"key": "look_live_Zk3vQ8mW1xT6bY9cR4nLp2D", "name": "Only looked at"})
    visitor = desk.visitor().by_link()
    for how in ("", "IMPORT", "x"):
        assert counts(sent(visitor, how, lines).text)["created"] == 1
    assert "Only looked at" not in names(desk)


@pytest.mark.parametrize("how", ["look", "import"])
def test_a_line_that_fails_is_named_by_its_number_and_no_key_is_shown(desk, how):
    secrets = [f"{how}_live_Zk3vQ8mW1xT6bY9cR4nLp2D", f"{how}_live_nameless_pL2sD7fG5hJ9", WEAK]
    rows = [{"key": secrets[0], "name": "Good"}, {"key": secrets[1]}, {"key": WEAK, "name": "Weak"}]
    wrong = f'{{"key": "{secrets[0]}", "{secrets[1]}": 1}}\r\n\r\n{secrets[1]}'
    page = sent(desk.visitor().by_link(), how, f"{lines_of(*rows)}\r\n{wrong}").text
    failed = dict(re.findall(r'data-label="Line">(\d+)</th><td [^>]*>([^<]+)</td>', page))

    assert list(failed) == ["2", "3", "4", "6"]
    assert failed["2"] == "name is missing"
    assert "too weak" in failed["3"]
    assert failed["6"] == "not a JSON object"
    assert counts(page) == {"created": 1, "updated": 0, "unchanged": 0, "failed": 4}
    assert [each for each in secrets if each in page] == []


def test_the_server_keeps_no_line(desk):
    visitor = desk.visitor().by_link()
    key = "kept_live_Zk3vQ8mW1xT6bY9cR4nLp2D"
    for how in ("look", "import"):
        assert (
            counts(sent(visitor, how, lines_of({"key": key, "name": "Kept nowhere"}, {"key": key})).text)["failed"] == 1
        )
    files = [each for each in desk.server.data.parent.rglob("*") if each.is_file()]

    assert [each.name for each in files if b"Kept nowhere" in each.read_bytes()] != [], "it looks where things are kept"
    assert [each.name for each in files if key.encode() in each.read_bytes()] == []


def test_weak_keys_are_taken_if_somebody_says_so(desk):
    lines = lines_of({"key": WEAK, "name": "Weak"})
    visitor = desk.visitor().by_link()

    refused = sent(visitor, "import", lines).text
    assert counts(refused)["failed"] == 1
    assert ("Nothing was imported." in refused, "Servers accept" in refused) == (True, False)
    assert "(“Take keys that can be guessed, too” takes it)" in refused
    assert counts(sent(visitor, "look", lines, accept_weak="yes").text)["created"] == 1


def test_many_lines_are_all_counted_and_the_first_hundred_failures_named(desk):
    good = [{"key": f"{at:03}{KEY}", "name": f"Number {at}"} for at in range(270)]
    page = sent(desk.visitor().by_link(), "look", lines_of(*good, good[0]) + "\r\n{}" * 120).text

    assert counts(page) == {"created": 270, "updated": 0, "unchanged": 1, "failed": 120}
    assert page.count('data-label="Line"') == 100
    assert "And 20 more lines failed." in page


def test_an_auditor_and_a_delegated_operator_see_no_button_and_are_refused(desk):
    lines = lines_of({"key": f"none{KEY}", "name": "Refused"})
    delegated = ("--subject-prefix", "acme", "--max-scope", "a")
    for key in (desk.admin_key("auditor"), desk.admin_key("operator", *delegated)):
        visitor = desk.visitor().by_key(key["api_key"])
        assert "/keys/import" not in visitor.get("/keys").text
        assert visitor.get("/keys/import").status_code == 403
        assert sent(visitor, "look", lines).status_code == sent(visitor, "import", lines).status_code == 403
    assert "Refused" not in names(desk)
    operator = desk.visitor().by_key(desk.admin_key("operator")["api_key"])
    assert 'href="/console/keys/import"' in operator.get("/keys").text
    assert counts(sent(operator, "look", lines).text)["created"] == 1


def test_a_form_without_the_token_of_the_sign_in_imports_nothing(desk):
    answer = sent(desk.visitor().by_link(), "import", lines_of({"key": f"x{KEY}", "name": "Foreign"}), form="")

    assert (answer.status_code, "Foreign" in names(desk)) == (403, False)


def test_too_many_lines_are_refused_with_a_page_of_the_console(desk):
    visitor = desk.visitor().by_link()
    fits = lines_of(*[{"key": f"{at:03}{KEY}", "name": '"' * 50} for at in range(400)])
    answer = sent(visitor, "import", lines_of(*[{"key": f"large{KEY}", "name": "Too large"}] * 1_000))

    assert 57_000 < len(fits) < 65_536
    assert counts(sent(visitor, "look", fits).text)["created"] == 400, "the limit ignores how a form spells it"
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "These lines are more than 64 KiB. Nothing was changed." in answer.text
    assert KEY not in answer.text
    assert "Too large" not in names(desk)
    assert "64 KiB" in visitor.get("/keys/import").text


def test_csv_is_told_where_it_can_be_imported(desk):
    visitor = desk.visitor().by_link()
    answer = sent(visitor, "look", f"key,name\r\n{KEY},Acme")

    assert (answer.status_code, "No line is a JSON object. If this is CSV," in answer.text) == (422, True)
    assert KEY not in answer.text
    marked = sent(visitor, "look", f"\ufeff {lines_of({'key': f'marked{KEY}', 'name': 'Marked'})}")
    assert counts(marked.text)["created"] == 1


def test_a_form_without_a_line_says_so(desk):
    answer = sent(desk.visitor().by_link(), "import", " \r\n")

    assert (answer.status_code, "There is no line." in answer.text) == (422, True)


def test_names_are_only_ever_text(desk):
    visitor = desk.visitor().by_link()
    rows = [{"key": f"{at}{OTHER}", "name": text, "tags": {"t": text}} for at, text in enumerate(HOSTILE)]
    rows += [{"key": f"{at}bad{OTHER}", "name": text, text: text} for at, text in enumerate(HOSTILE)]
    page = sent(visitor, "import", lines_of(*rows)).text

    assert counts(page) == {"created": len(HOSTILE), "updated": 0, "unchanged": 0, "failed": len(HOSTILE)}
    assert intruders(page) == intruders(visitor.get("/keys").text) == []
