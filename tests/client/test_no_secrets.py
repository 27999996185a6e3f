"""The key and the tokens stand in no repr, text, traceback, log or warning, however a refresh ends.

Each ending is driven over a real socket, with every logger at DEBUG, the HTTP library's own included.
"""

import gc
import logging
import traceback
import warnings

import pytest
from tests.client.conftest import settle
from tests.client.scripted_server import http, pair

from hourpass.client.file_token import FileToken
from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.client.refresher import Refresher
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, HourpassError, LoginRequired, Unavailable
from hourpass.verifier import Verifier

KEY = "hp-CONFIDENTIAL-key"
ACCESS = "CONFIDENTIAL-access"
REFRESH = "CONFIDENTIAL-refresh"
MARK = "CONFIDENTIAL"

GRANTED = http(200, pair(0, access_token=ACCESS, refresh_token=REFRESH))
ECHO = (
    f'{{"title":"{MARK}","name":"{MARK}","status":400,"reason":"{MARK}","apiKey":"{KEY}","error":"{REFRESH}"}}'.encode()
)
"""A server may send back what it was sent."""


def drop(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + pair(0, access_token=ACCESS)[:60])


def nothing_to_come(connection):
    """Closes without an answer."""


@pytest.fixture
def heard(caplog):
    """All log lines and warnings, as one text."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield (
            lambda: caplog.text + "".join(str(record.__dict__) for record in caplog.records) + "".join(map(str, warned))
        )


def living() -> str:
    """The repr and the text of every object of ours that lives in this process."""
    ours = [one for one in gc.get_objects() if str(type(one).__module__).startswith("hourpass.")]
    return "\n".join(f"{one!r} {one}" for one in ours)


def told(error: BaseException) -> str:
    """All that an error can tell: its texts, its attributes, the chain behind it, and the locals of our own frames."""
    texts = [repr(error), str(error), str(vars(error)), *traceback.format_exception(error)]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("hourpass.")]
    return "\n".join([*texts, *(f"{name}={value!r}" for frame in ours for name, value in frame.f_locals.items())])


ENDINGS = [
    pytest.param([], None, id="success"),
    pytest.param([http(400, ECHO), GRANTED], None, id="refused and healed"),
    pytest.param([http(400, ECHO), http(400, ECHO)], LoginRequired, id="refused and the key too"),
    pytest.param([http(503, ECHO)], Unavailable, id="unavailable"),
    pytest.param([http(429, ECHO, "application/json", "Retry-After: 9")], Unavailable, id="throttled"),
    pytest.param([http(302, ECHO, None, "Location: /elsewhere")], Unavailable, id="a redirect"),
    pytest.param([http(200, ECHO)], Unavailable, id="a 200 that echoes"),
    pytest.param([http(200, pair(0, access_token=ACCESS, expires_in=MARK))], Unavailable, id="a pair of wrong types"),
    pytest.param([http(200, pair(0, access_token=f"{ACCESS} x"))], Unavailable, id="a token that is none"),
    pytest.param([http(200, pair(0, access_token=ACCESS * 9_999))], Unavailable, id="too long"),
    pytest.param([drop] * 3, Unavailable, id="cut off in the middle of the token"),
    pytest.param([nothing_to_come] * 3, Unavailable, id="dropped"),
    pytest.param([b"SSH-2.0-OpenSSH_9.9\r\n"] * 3, Unavailable, id="no HTTP"),
]


@pytest.mark.parametrize(("script", "ending"), ENDINGS)
def test_no_ending_of_a_refresh_tells_a_secret(other, source_of, clock, tmp_path, heard, script, ending):
    other.script = [GRANTED]
    source = source_of(other, KEY, cache_at=tmp_path / "token")
    assert source.token() == ACCESS
    clock.now = source.current.hard
    other.script = list(script) or [GRANTED]
    shown = ""

    if ending is None:
        assert source.token() == ACCESS
    else:
        with pytest.raises(HourpassError) as caught:
            source.token()
        assert type(caught.value) is ending
        shown = told(caught.value)

    settle(source)
    assert other.bodies[:2] == [{"apiKey": KEY}, {"refreshToken": REFRESH}]
    assert repr(source) == f"TokenSource({other.url!r})"
    assert "hourpass.client" in shown or ending is None
    assert "httpcore2" in heard(), "the HTTP library was listened to"
    assert MARK not in shown + living() + heard()


def test_a_time_out_shows_no_secret(other, source_of, clock, heard):
    other.script = [GRANTED, other.stall]
    source = source_of(other, KEY)
    source.token()
    clock.now = source.current.hard

    with pytest.raises(Unavailable) as caught:
        source.token(within=0.05)
    during = living()
    other.released.set()
    settle(source)

    assert "Setting(" in during
    assert MARK not in told(caught.value) + during + living() + heard()


@pytest.mark.anyio
async def test_no_ending_in_asyncio_tells_a_secret(other, source_of, clock, heard):
    other.script = [GRANTED, http(400, ECHO), http(400, ECHO)]
    source = source_of(other, KEY)
    assert await source.token_async() == ACCESS
    clock.now = source.current.hard

    with pytest.raises(LoginRequired) as caught:
        await source.token_async(within=5)

    assert MARK not in told(caught.value) + living() + heard()


def failing(text):
    def api_key():
        raise RuntimeError(text)

    return api_key


@pytest.mark.parametrize(
    ("key", "ending"),
    [
        pytest.param(failing(KEY), ConfigurationError, id="a callable that fails"),
        pytest.param(lambda: f"{KEY}\udcff", Unavailable, id="a key that is not a text"),
    ],
)
def test_no_key_that_cannot_be_had_is_told(other, source_of, heard, key, ending):
    with pytest.raises(HourpassError) as caught:
        source_of(other, key).token()

    assert type(caught.value) is ending
    assert MARK not in told(caught.value) + living() + heard()


def test_no_cache_file_or_refresher_tells_a_secret(other, source_of, clock, tmp_path, heard):
    other.script = [GRANTED]
    (tmp_path / "agent").write_text(ACCESS)
    caches = [MemoryCache(), FileCache(tmp_path / "token")]
    for cache in caches[:2]:
        cache.write(ACCESS.encode())
    tokens = FileToken(tmp_path / "agent", clock=clock, wall=clock)
    assert tokens.token() == ACCESS
    with pytest.raises(Unavailable) as caught:
        tokens.refresh(rejected=1, within=0)
    source = source_of(other, KEY)
    with Refresher(source) as refresher:
        source.token()

    assert MARK not in f"{caches} {tokens!r} {refresher!r} {source!r}" + told(caught.value) + living() + heard()


def test_a_dump_of_all_members_of_an_object_shows_no_secret():
    """As a debugger does, or a service that collects errors with the variables around them."""
    proxy = f"http://user:{KEY}@proxy.example.com"
    source = TokenSource("https://auth.example.com", KEY, proxy=proxy)
    verifier = Verifier(issuer="https://auth.example.com", audience="a", proxy=proxy)

    assert MARK in KEY
    for members in (vars(source), vars(source._flights), vars(source._flights._fetcher), vars(verifier)):
        assert MARK not in repr(members)
