"""A request as handlers see it."""

from hourpass.server.transport.request import Request


def test_a_request_never_shows_its_credentials():
    request = Request("GET", "/hush", b"hush", ((b"authorization", b"Bearer hush"),), None, b"hush")

    assert "hush" not in repr(request) + str(request) + f"{request}"
    assert request.header(b"authorization") == b"Bearer hush"
