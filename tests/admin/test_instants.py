"""Instants as people and programs write them."""

import pytest

from hourpass.admin.instants import exact_moment, given_moment, read_moment
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_members import END_OF_TIME


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("9998-12-31T23:59:59.999Z", END_OF_TIME - 1),
    ],
)
def test_every_instant_that_is_read_can_be_written(text, at):
    assert read_moment(text) == at
    assert read_moment(exact_moment(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        *("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00+00:01", "0001-01-01T00:00:00+14:00"),
        *("9999-01-01", "9998-12-31T23:59:59-00:01", "9999-12-31T23:59:59-14:00", "", "soon"),
    ],
)
def test_another_instant_is_refused_by_the_name_of_its_member(text):
    with pytest.raises(InvalidRequest) as refused:
        given_moment("since", text)

    assert refused.value.name == "since"
