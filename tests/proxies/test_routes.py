"""Which scopes a path needs: another spelling evades none, and a path that is not listed needs all of them."""

import pytest
from tests.proxies.conftest import identity
from tests.proxies.wire import talk

LISTED = ["/videos", "/videos/", "/videos/1", "/videos/a.b/c?d=//e/../f", "/VIDEOS/1", "/Videos"]

ELSEWHERE = ["/", "/anything", "/videosomething", "/videos.json", "/mexico", "/x/videos", "/x/me", "/auth", "/oauthx/y"]
"""Paths that no file lists."""

SPELLINGS = [
    "/%56ideos",
    "/%76%69%64%65%6f%73",
    "//videos",
    "/./videos",
    "/x/../videos",
    "/x/%2e%2e/videos",
    "/x/..%2fvideos",
    "/x/..;/videos",
    "/x/..;a=b/videos",
    "/;/videos",
    "/videos;x",
    "/videos%3bx",
    "/\\videos",
    "/%5cvideos",
    "/x\\..\\videos",
    "/x/..%5cvideos",
    "/videos%2f1",
    "/videos%00",
    "/videos%20",
    "/videos.",
    "/%252e%252e/videos",
    "/%c0%af/videos",
    "/%ef%bc%8fvideos",
    "/vide%6Fs/1",
    "http://127.0.0.1/videos",
    "HTTP://127.0.0.1//videos",
]
"""Paths that an API may read as `/videos`: it decodes, squeezes slashes, cuts parameters off, turns backslashes."""

OUT_OF = [
    "/me/../videos",
    "/me/%2e%2e/videos",
    "/me/.%2e/videos",
    "/me/..%2fvideos",
    "/me/..;/videos",
    "/me/..;a/videos",
    "/me;/../videos",
    "/me/..%5cvideos",
    "/me\\..\\videos",
    "/me%2f..%2fvideos",
    "/me/%252e%252e/videos",
    "/me/%c0%ae%c0%ae/videos",
    "/me/x/../../videos",
    "/me/./../videos",
    "/me#/../videos",
    "/auth/../videos",
    "/auth/%2e%2e/videos",
    "/auth/..;/videos",
    "/auth%2f..%2fvideos",
    "/.well-known/..%5cvideos",
    "http://127.0.0.1/me/../videos",
]
"""Paths that begin as a route that asks for less, and may end as `/videos`."""

REFUSED = {400, 403, 404}


def get(proxy, path, key):
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key.access_token}",
        "Connection: close",
    ]
    return talk(proxy, "\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize("path", [*LISTED, *ELSEWHERE])
def test_a_path_needs_its_scope_or_every_scope(path, proxy, reader, stranger):
    """The files know one scope, so that is every scope."""
    assert get(proxy, path, reader).statuses == [200]
    assert get(proxy, path, stranger).statuses == [403]


@pytest.mark.parametrize("path", ["/me", "/me/", "/me/1", "/ME", "/me?page=2"])
def test_a_route_that_is_listed_for_any_good_token_takes_any(path, proxy, stranger):
    answer = proxy.client.get(path, headers=stranger.bearer)

    assert answer.status_code == 200
    assert identity(answer)["hourpass-subject"] == stranger.key_id
    assert proxy.client.get(path).status_code == 401


@pytest.mark.parametrize("path", [*SPELLINGS, *OUT_OF])
def test_another_spelling_of_the_path_does_not_evade_the_scope(path, proxy, stranger, api_received):
    """RFC 3986 §6: an API that normalises must not be reached by what the proxy took for another route."""
    answers = get(proxy, path, stranger)

    assert len(answers.statuses) == 1
    assert set(answers.statuses) <= REFUSED
    assert api_received() == []


@pytest.mark.parametrize("path", ["/me//videos", "/me/...//../videos", "/me/%2f../me", "/%6de", "/me/%00/../videos"])
def test_a_path_that_passes_as_a_listed_route_reaches_the_api_as_that_route(path, proxy, stranger, api_received):
    """A proxy may normalise: then the API receives what was judged, or nothing."""
    get(proxy, path, stranger)

    assert all(request["path"] in ("/me", "/me/videos") for request in api_received())
