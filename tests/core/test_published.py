"""The list of published events: every name exists in the trail, and a subscription takes what it names."""

import pytest

from hourpass.core.event_names import NAMES
from hourpass.core.published import PUBLISHED, TEST, takes, unpublished


def test_a_webhook_that_names_no_events_gets_every_published_one():
    assert all(takes((), event) for event in PUBLISHED)
    assert not takes((), "token.revoked")


def test_a_webhook_gets_the_events_that_it_names():
    assert takes(("key.created", "key.revoked"), "key.revoked")
    assert not takes(("key.created",), "key.revoked")
    assert not takes(("token.revoked",), "token.revoked")


def test_names_that_are_not_published_are_found():
    assert unpublished(("key.created", "token.revoked", TEST, "")) == ("token.revoked", TEST, "")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_event_is_one_of_the_trail(name):
    assert name in NAMES.values()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_name_has_dots_and_its_description_is_one_line(name):
    assert "." in name
    assert PUBLISHED[name].isprintable()
    assert not PUBLISHED[name].endswith(".")
