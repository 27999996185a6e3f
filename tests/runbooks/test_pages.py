"""Every page of docs/runbooks/ has the same sections, and every alert leads to one of them."""

import re

import pytest
import yaml
from tests.monitoring.prometheus import SHIPPED
from tests.runbooks.runbook import FOLDER, LEFT_OUT, OVER, SECTIONS, Page, left_out_of_runbooks

PAGES = {path.stem: Page(path) for path in sorted(FOLDER.glob("*.md")) if path.stem != "index"}


@pytest.fixture(scope="module")
def pages_of_alerts():
    groups = yaml.safe_load((SHIPPED / "alerts.yml").read_text("utf-8"))["groups"]
    return {
        rule["alert"]: rule["annotations"]["runbook_url"].rpartition("/")[2].removesuffix(".md")
        for group in groups
        for rule in group["rules"]
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_how_it_is_noticed_what_is_safe_what_to_type_and_when_it_is_over(name):
    assert list(PAGES[name].sections)[: len(SECTIONS)] == SECTIONS
    assert PAGES[name].lines(OVER)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_the_alerts_that_lead_to_it_or_says_that_there_is_none(name, pages_of_alerts):
    alerts = PAGES[name].alerts

    assert alerts or re.search(r"^\| Alert \| none", PAGES[name].sections["Symptom"], re.MULTILINE)
    assert alerts <= pages_of_alerts.keys()


def test_an_alert_leads_to_a_page_that_names_it(pages_of_alerts):
    for alert, page in pages_of_alerts.items():
        assert f"`{alert}`" in PAGES[page].text, f"{page} does not name {alert}"


def test_every_alert_that_a_page_names_exists(pages_of_alerts):
    for name, page in PAGES.items():
        named = set(re.findall(r"\bHourpass[A-Z]\w+", page.text))
        assert named <= pages_of_alerts.keys(), name


@pytest.mark.parametrize("file", left_out_of_runbooks())
def test_what_the_index_says_that_the_tests_do_not_run_is_one_of_the_pages_commands(file):
    page = PAGES[file.removesuffix(".md")]

    assert page.left_out
    assert [command for command in page.left_out if command not in page.text] == []


def test_what_the_tests_do_not_run_is_told_in_one_place():
    assert left_out_of_runbooks()
    assert [name for name, page in PAGES.items() if LEFT_OUT in page.sections] == []


def test_every_page_that_has_an_alert_is_run(request):
    folder = request.path.parent
    run = set(re.findall(r'open_runbook\(\s*"?([\w-]+)"?', "".join(p.read_text() for p in folder.glob("test_*.py"))))

    assert PAGES.keys() - (run | {"leaked-key"}) == set()
