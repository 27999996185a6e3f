"""The body matrix: after a 401 a body arrives whole once more, or it is not sent again and the log says so."""

import io
import os
import threading
from contextlib import ExitStack

import pytest
from tests.client.adapters.clients import CLIENTS

WHOLE = b"0123456789" * 20_000
OFFSET = 7


def _file(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(WHOLE)
    file = path.open("rb")
    file.seek(OFFSET)
    return file


def _generator(tmp_path):
    return (WHOLE[at : at + 70_000] for at in range(0, len(WHOLE), 70_000))


async def _async_generator(tmp_path):
    for at in range(0, len(WHOLE), 70_000):
        yield WHOLE[at : at + 70_000]


def _pipe(tmp_path):
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(WHOLE)

    threading.Thread(target=write).start()
    return os.fdopen(reading, "rb")


class _Opaque(io.RawIOBase):
    """A file that can be read to its end and no more."""

    def __init__(self) -> None:
        self.inside = io.BytesIO(WHOLE)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.inside.readinto(buffer)


@pytest.fixture
def closing():
    """The files in it are closed with the test."""
    with ExitStack() as stack:
        yield lambda body: stack.enter_context(body) if hasattr(body, "read") else body


REPLAYED = {
    "bytes": (lambda tmp_path: WHOLE, WHOLE),
    "str": (lambda tmp_path: "naïve " * 1000, ("naïve " * 1000).encode()),
    "json": (lambda tmp_path: {"title": "x" * 1000}, b"x" * 1000),
    "form": (lambda tmp_path: {"a": "b c", "d": ["e", "f"]}, b"a=b+c&d=e&d=f"),
    "multipart": (lambda tmp_path: io.BytesIO(WHOLE), WHOLE),
    "file": (_file, WHOLE[OFFSET:]),
}
ONCE = {"generator": _generator, "async generator": _async_generator, "pipe": _pipe}

MATRIX = [pytest.param(name, kind, id=f"{name}-{kind}") for name, client in CLIENTS.items() for kind in client.kinds]


def headers_for(library, kind):
    """The library cannot find this out by itself: how much is left of a file, that a pipe has no length."""
    if library == "httpx" and kind == "file":
        return {"Content-Length": str(len(WHOLE) - OFFSET)}
    return {"Transfer-Encoding": "chunked"} if library in ("httpx", "httpx2") and kind == "pipe" else None


@pytest.mark.parametrize(("library", "kind"), [row for row in MATRIX if row.values[1] in REPLAYED])
def test_a_body_that_can_be_read_twice_arrives_whole_twice(open_client, library, kind, source, api, tmp_path, closing):
    make, whole = REPLAYED[kind]
    body, client = closing(make(tmp_path)), open_client(source)
    api.rejected = {"access-1"}

    assert client.send("POST", api.url, kind=kind, body=body, headers=headers_for(library, kind)).status == 200
    first, second = [one.body for one in api.asked]
    assert first == second
    assert whole in first
    assert kind in ("json", "multipart") or whole == first


@pytest.mark.parametrize(("library", "kind"), [row for row in MATRIX if row.values[1] in ONCE])
def test_a_body_that_can_be_read_once_is_sent_once_and_the_next_request_has_a_new_token(
    open_client, library, kind, source, api, tmp_path, endpoint, caplog, closing
):
    body, client = closing(ONCE[kind](tmp_path)), open_client(source)
    api.rejected = {"access-1"}

    assert client.send("POST", api.url, kind=kind, body=body, headers=headers_for(library, kind)).status == 401
    assert [one.body for one in api.asked] == [WHOLE]
    assert "its body cannot be sent twice" in caplog.text
    assert endpoint.paths == ["api-key", "refresh"]
    assert client.send("GET", api.url).status == 200
    assert api.tokens == ["access-1", "access-2"]


@pytest.mark.parametrize("library", [name for name, client in CLIENTS.items() if "file" in client.kinds])
def test_every_send_rewinds_the_file_to_its_first_position(open_client, library, source, api, tmp_path):
    api.script = [(401, {})] * 2
    with _file(tmp_path) as file:
        assert open_client(source).send("PUT", api.url, kind="file", body=file, headers=headers_for(library, "file"))

    assert [one.body == WHOLE[OFFSET:] for one in api.asked] == [True] * 3


@pytest.mark.parametrize("library", ["httpx2", "httpx2 async", "httpx", "httpx async"])
def test_one_part_of_a_multipart_body_that_can_be_read_once_is_enough(open_client, library, source, api):
    """requests reads the parts into memory beforehand."""
    api.rejected = {"access-1"}

    assert open_client(source).send("POST", api.url, kind="multipart", body=_Opaque()).status == 401
    assert [WHOLE in one.body for one in api.asked] == [True]
