"""Of several uses of a key, of any kind, the latest one is the last."""

import pytest

from hourpass.core.last_use import LastUse, latest

EXCHANGED, REFRESHED = LastUse(1, "192.0.2.1"), LastUse(2, None)


@pytest.mark.parametrize(
    ("uses", "last"),
    [
        ({}, None),
        ({"exchanged": EXCHANGED}, ("exchanged", EXCHANGED)),
        ({"exchanged": EXCHANGED, "refreshed": REFRESHED}, ("refreshed", REFRESHED)),
        ({"raw": LastUse(3, None), "refreshed": REFRESHED}, ("raw", LastUse(3, None))),
    ],
)
def test_the_latest_use_is_the_last(uses, last):
    assert latest(uses) == last
