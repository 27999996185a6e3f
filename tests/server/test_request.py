"""A request as handlers see it."""

from hourpass.server.asgi import Request


async def nothing():
    return {"type": "http.disconnect"}


def test_a_request_never_shows_its_credentials():
    scope = {"headers": [(b"authorization", b"Bearer hush")], "query_string": b"hush"}
    request = Request(scope, nothing, 0, 10, ())
    assert "hush" not in repr(request) + str(request) + f"{request}"
    assert request.header(b"authorization") == b"Bearer hush"
