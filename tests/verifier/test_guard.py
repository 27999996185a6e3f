"""The decisions that every surface makes alike: public paths, scopes of routes, foreign identity headers."""

import pytest

from hourpass.core.errors import ConfigurationError, InsufficientScope, NotFound, Unavailable
from hourpass.verifier.guard import Guard, KeyIdentity, admit, identity_headers, is_ours

SCOPES = {
    "/videos": "videos.read",
    "POST /videos": "videos.write",
    "/videos/private": "videos.private",
    "/": "any",
    "DELETE /": "delete",
}


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/health", True),
        ("/health/", False),
        ("/health/live", False),
        ("/Health", False),
        ("//health", False),
        ("/x/../health", False),
        ("/static/a/b.css", True),
        ("/static/", True),
        ("/static", False),
        ("/static/../videos", False),
        ("/static/./a", False),
        ("/static//a", False),
        ("/statically", False),
        ("/videos", False),
        ("", False),
        ("*", False),
    ],
)
def test_only_the_paths_written_as_public_are_public(path, passes):
    guard = Guard(public=["/health", "/static/*"])

    assert guard.passes("GET", path, preflight=False) is passes


@pytest.mark.parametrize(
    ("allowed", "method", "preflight", "passes"),
    [
        (True, "OPTIONS", True, True),
        (True, "OPTIONS", False, False),
        (True, "GET", True, False),
        (False, "OPTIONS", True, False),
    ],
    ids=["a preflight", "any OPTIONS", "a GET that claims to be one", "not asked for"],
)
def test_preflights_pass_if_the_setting_says_so(allowed, method, preflight, passes):
    assert Guard(preflights=allowed).passes(method, "/videos", preflight=preflight) is passes


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/videos", "videos.read"),
        ("HEAD", "/videos", "videos.read"),
        ("get", "/videos", "videos.read"),
        ("POST", "/videos", "videos.write"),
        ("post", "/videos/", "videos.write"),
        ("POST", "/videos/1", "videos.write"),
        ("GET", "/videos/1", "videos.read"),
        ("GET", "/videos/private/1", "videos.private"),
        ("POST", "/videos/private", "videos.private"),
        ("GET", "/videosx", "any"),
        ("GET", "/", "any"),
        ("DELETE", "/other", "delete"),
    ],
)
def test_the_longest_path_decides_and_then_the_method(method, path, needed):
    assert Guard(scopes=SCOPES).needed(method, path) == needed


ODD = [
    "/videos//1", "//videos", "/x/../videos", "/videos/./1", "/videos/..", "videos", "", "/videos\n", "/videos\r",
    "/videos\x00", "/vid\teos", "/videos\x7f", "/videos\x85", "/videos\u2028", "/videos\\1", "/x/..;/videos",
    "/%76ideos", "/videos%2F1", "/videos\udcff", "/videos\ufffd", "/videos//",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD, ids=ascii)
def test_a_path_that_may_be_read_in_two_ways_needs_everything(path):
    assert Guard(scope="base", scopes=SCOPES).needed("GET", path) == (
        "any base delete videos.private videos.read videos.write"
    )


@pytest.mark.parametrize("path", ODD, ids=ascii)
def test_a_path_that_may_be_read_in_two_ways_is_never_public(path):
    guard = Guard(public=["/*", "/videos"])

    assert guard.passes("GET", "/videos/1", preflight=False)
    assert not guard.passes("GET", path, preflight=False)


@pytest.mark.parametrize(
    "path", ["/vidéos", "/100%", "/a b", "/a;v=1", "/...", "/.well-known", "/a:b@c,d", "/ویدیو\u200cها"]
)
def test_a_path_with_unusual_characters_and_one_reading_is_like_any_other(path):
    guard = Guard(public=[path], scopes={path: "a", "/b": "b"})

    assert guard.passes("GET", path, preflight=False)
    assert guard.needed("GET", path) == "a"


def test_without_routes_every_path_needs_the_one_scope():
    assert Guard(scope="b a").needed("GET", "//x/..") == "a b"


@pytest.mark.parametrize(
    "settings",
    [
        {"realm": 'a"b'},
        {"realm": "a\\b"},
        {"realm": ""},
        {"realm": "é"},
        {"realm": "a\r\nb"},
        {"public": ["health"]},
        {"public": ["/a/*/b"]},
        {"public": ["/a*"]},
        {"public": ["//a"]},
        {"scopes": {"/videos/*": "a"}},
        {"scopes": {"/videos/{id}": "a"}},
        {"scopes": {"/videos/<int:id>": "a"}},
        {"scopes": {"GET /vid%C3%A9os": "a"}},
        {"scopes": {"/videos\n": "a"}},
        {"scope": 'a"b'},
        {"scopes": {"videos": "a"}},
        {"scopes": {"get /videos": "a"}},
        {"scopes": {"/videos": "a\\b"}},
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused(settings):
    with pytest.raises(ConfigurationError):
        Guard(**settings)


@pytest.mark.parametrize(
    "name",
    ["Hourpass-Subject", "hourpass-subject", "HOURPASS-SUBJECT", "Hourpass_Subject", "Hourpass.Subject", "hourpass~x",
     "HOURPASS_KEY_ID", "hourpass-", "hourpass", "Hourpass-Anything-At-All"],
)  # fmt: skip
def test_every_spelling_of_an_identity_header_is_ours(name):
    assert is_ours(name)


@pytest.mark.parametrize("name", ["x-hourpass-subject", "hourpassword", "authorization", "subject", "hour-pass"])
def test_other_headers_are_not_ours(name):
    assert not is_ours(name)


def test_an_api_key_s_identity_has_the_whole_set_of_headers():
    """contract.md, "Forward auth": all eight, always."""
    assert identity_headers(KeyIdentity("alice", "key")) == [
        ("Hourpass-Subject", "alice"),
        ("Hourpass-Key-Id", "key"),
        ("Hourpass-Scope", ""),
        ("Hourpass-Environment", "production"),
        ("Hourpass-Grant", ""),
        ("Hourpass-Auth", "api-key"),
        ("Hourpass-Api-Key-Sunset", ""),
        ("Hourpass-Api-Key-Deprecation", ""),
    ]


def test_a_scope_that_is_missing_is_named_with_all_that_are_needed():
    with pytest.raises(InsufficientScope) as refusal:
        admit(KeyIdentity("alice", "key", "a b"), "a c")

    answer = Guard().refusal(refusal.value)
    assert answer.status == 403
    assert ("WWW-Authenticate", 'Bearer realm="hourpass", error="insufficient_scope", scope="a c"') in answer.headers


def test_our_own_trouble_is_503_without_a_challenge():
    """verify.md, "What a 503 means": a 401 would start refreshes in vain."""
    answer = Guard().refusal(Unavailable("secret detail", retry_after=7))

    assert answer.status == 503
    assert ("Retry-After", "7") in answer.headers
    assert "WWW-Authenticate" not in dict(answer.headers)
    assert b"secret" not in answer.body


def test_an_error_that_nobody_foresaw_is_500_and_tells_nothing():
    answer = Guard().refusal(NotFound("secret detail"))

    assert answer.status == 500
    assert b"secret" not in answer.body
