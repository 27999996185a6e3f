"""The random bytes that make each token unique: drawn in the event loop, or in the threads that carry batches."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hourpass.server.issuing.minting import Entropy, TokenIds


@pytest.fixture
def restless():
    """An interpreter that turns from one thread to the next as often as it can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless")
def test_threads_that_draw_ids_at_once_never_get_the_same():
    ids = TokenIds()

    with ThreadPoolExecutor(4) as pool:
        batches = pool.map(lambda _: [ids.draw() for _ in range(5_000)], range(4))
        drawn = [each for batch in batches for each in batch]

    assert len(set(drawn)) == len(drawn) == 20_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", each) for each in drawn)


def test_no_two_draws_share_a_byte_at_the_end_of_a_page():
    entropy = Entropy()

    drawn = [entropy.draw(count) for count in (4_090, 10, 16) * 20]

    assert [len(each) for each in drawn] == [4_090, 10, 16] * 20
    assert len({each[:10] for each in drawn}) == len(drawn)
