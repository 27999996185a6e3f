"""Copies and pickles: in one process they share one credential. Another process opens its own."""

import copy
import pickle

import pytest
import requests

from hourpass.client import FileCache, FileToken, MemoryCache, Refresher, TokenSource
from hourpass.client.auth import aiohttp, httpx, httpx2
from hourpass.client.auth import requests as requests_auth

COPIES = [copy.copy, copy.deepcopy]
ADAPTERS = [aiohttp.HourpassAuth, httpx.HourpassAuth, httpx2.HourpassAuth, requests_auth.HourpassAuth]


def read_key() -> str:
    return "KEY"


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_source_shares_it(make, endpoint, copied):
    source = make()
    source.token()

    assert copied(source) is source
    assert copied([source])[0].token() == "access-1"
    assert endpoint.paths == ["api-key"]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_copy_of_an_adapter_shares_its_source(make, adapter):
    source = make(origins=["https://api.example.com"])

    assert copy.deepcopy(adapter(source))._source is source


def test_a_copy_of_a_requests_session_shares_the_source(make):
    session = requests.Session()
    session.auth = requests_auth.HourpassAuth(make())

    assert copy.deepcopy(session).auth._source is session.auth._source


def test_a_pickled_source_is_opened_again_with_its_cache_and_without_a_token(tmp_path):
    source = TokenSource("https://auth.example.com", read_key, cache=FileCache(tmp_path / "token"), scope="a")
    source._flights.current = "a token, or a thread, or a lock"

    opened = pickle.loads(pickle.dumps(source))

    assert (opened.url, opened.current) == (source.url, None)
    assert opened._flights._fetcher._setting.cache.path == tmp_path / "token"
    assert opened._flights._fetcher._setting.api_key is read_key


def test_a_literal_key_never_gets_into_a_pickle():
    with pytest.raises(TypeError, match="give the key as a callable"):
        pickle.dumps(TokenSource("https://auth.example.com", "KEY"))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_is_pickled_with_its_source(adapter):
    auth = adapter(TokenSource("https://auth.example.com", read_key))

    assert pickle.loads(pickle.dumps(auth))._source.url == "https://auth.example.com"


def test_a_pickled_file_token_reads_the_file_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("SECRET")
    tokens = FileToken(path, origins=["https://api.example.com"])
    tokens.token()

    pickled = pickle.dumps(tokens)

    assert b"SECRET" not in pickled
    assert pickle.loads(pickled).token() == "SECRET"
    assert copy.deepcopy(tokens) is tokens


def test_a_pickled_memory_cache_is_empty():
    cache = MemoryCache()
    cache.write(b"SECRET")

    assert pickle.loads(pickle.dumps(cache)).read() is None
    assert copy.deepcopy(cache).read() == b"SECRET"


def test_a_refresher_is_not_copied(make):
    for use in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="start another one"):
            use(Refresher(make()))


def test_another_event_loop_than_asyncios_is_told_what_to_do(make):
    """As under trio."""
    awaiting = make().token_async()

    with pytest.raises(Exception, match="under trio"):
        awaiting.send(None)
