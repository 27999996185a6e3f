"""The WSGI middleware: the same table, with one variable for each header, so nobody can tell how many came."""

import pytest
from tests.verifier.conftest import PLAIN, keys

from hourpass.core.claims import Claims
from hourpass.verifier.guard import KeyIdentity
from hourpass.verifier.wsgi import HourpassMiddleware


class Application:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[dict] = []

    def __call__(self, environ, start_response):
        self.seen.append(environ)
        start_response("200 OK", [])
        return [b"videos"]


@pytest.fixture
def application():
    return Application()


@pytest.fixture
def protect(application, shared_verifier):
    def protect(**options) -> HourpassMiddleware:
        return HourpassMiddleware(application, **{"verifier": shared_verifier, **options})

    return protect


@pytest.fixture
def token(shared_issuer):
    return shared_issuer.token()


def ask(app, authorization: str | None = None, *, path: str = "/videos", method: str = "GET", **environ: str):
    answer = {}
    variables = {"REQUEST_METHOD": method, "PATH_INFO": path, **environ}
    if authorization is not None:
        variables["HTTP_AUTHORIZATION"] = authorization
    body = b"".join(app(variables, lambda status, headers: answer.update(status=status, headers=dict(headers))))
    return int(answer["status"][:3]), answer["headers"], body


def test_a_good_token_reaches_the_application_with_its_claims(protect, application, token):
    status, _, body = ask(protect(), f"Bearer {token}")

    assert (status, body) == (200, b"videos")
    assert isinstance(application.seen[0]["hourpass.claims"], Claims)
    assert application.seen[0]["HTTP_HOURPASS_SUBJECT"] == "alice"


@pytest.mark.parametrize("public", [[], ["/videos"]], ids=["judged", "public"])
def test_no_forged_identity_survives_in_any_spelling(protect, application, token, public):
    forged = dict.fromkeys(
        [
            "HTTP_HOURPASS_SUBJECT",
            "HTTP_HOURPASS.SUBJECT",
            "HTTP_HOURPASS-SUBJECT",
            "HTTP_Hourpass_Grant",
            "HTTP_HOURPASS",
        ],
        "eve",
    )

    ask(protect(public=public), f"Bearer {token}", **forged)

    assert "eve" not in application.seen[0].values()
    assert ("HTTP_HOURPASS_SUBJECT" in application.seen[0]) is not bool(public)


@pytest.mark.parametrize(
    ("authorization", "status", "challenge"),
    [
        (None, 401, PLAIN),
        ("", 401, PLAIN),
        ("Digest username=x, realm=y", 401, PLAIN),
        ("Basic YTpi", 401, PLAIN),
        ("Bearer nonsense", 401, f'{PLAIN}, error="invalid_token", error_description="malformed"'),
        ("Bearer a.b.c,Bearer a.b.c", 400, f'{PLAIN}, error="invalid_request"'),
        ("Bearer a.b.c, Bearer a.b.c", 400, f'{PLAIN}, error="invalid_request"'),
        ("Bearer", 400, f'{PLAIN}, error="invalid_request"'),
        ("Bearer \xe9", 401, f'{PLAIN}, error="invalid_token", error_description="malformed"'),
        ("Bearer \u0661", 401, f'{PLAIN}, error="invalid_token", error_description="malformed"'),
    ],
    ids=["none", "empty", "another scheme", "basic", "bad", "two joined", "two joined with a space", "no token",
         "latin-1", "beyond latin-1"],
)  # fmt: skip
def test_a_refusal_has_its_status_and_challenge(protect, application, authorization, status, challenge):
    answered, headers, _ = ask(protect(), authorization)

    assert (answered, headers["WWW-Authenticate"]) == (status, challenge)
    assert headers["Content-Type"] == "application/problem+json"
    assert application.seen == []


def test_keys_or_revocations_out_of_reach_are_503_and_never_401(protect, dead_verifier, token):
    status, headers, _ = ask(protect(verifier=dead_verifier), f"Bearer {token}")

    assert (status, headers["Retry-After"], "WWW-Authenticate" in headers) == (503, "1", False)


def test_a_scope_that_is_missing_is_403(protect, token):
    app = protect(scopes={"POST /videos": "videos.write"})

    assert ask(app, f"Bearer {token}")[0] == 200
    assert ask(app, f"Bearer {token}", method="post")[0] == 403


def test_a_path_beyond_ascii_needs_the_scope_of_its_route(protect, token):
    """PEP 3333 hands on bytes as if they were Latin-1."""
    app = protect(scopes={"/vidéos": "videos.write"})

    assert ask(app, f"Bearer {token}", path="/vidéos".encode().decode("latin-1"))[0] == 403
    assert ask(app, f"Bearer {token}", path="/vid\xe9os")[0] == 403


def test_a_header_that_moves_the_path_of_pyramid_makes_it_odd(protect, token):
    """`pyramid.traversal` puts `X-Vhm-Root` in front of the path."""
    app = protect(public=["/health"], scopes={"/admin": "admin"})

    assert ask(app, path="/health", HTTP_X_VHM_ROOT="/admin")[0] == 401
    assert ask(app, f"Bearer {token}", path="/health", HTTP_X_VHM_ROOT="/admin")[0] == 403


def test_public_paths_and_preflights_pass(protect, application):
    app = protect(public=["/health"], preflights=True)

    assert ask(app, path="/health")[0] == 200
    assert ask(app, method="OPTIONS", HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET")[0] == 200
    assert application.seen[0]["hourpass.claims"] is None


def test_an_api_key_is_accepted_if_the_provider_says_so(protect, application):
    app = protect(api_keys=keys)

    assert ask(app, "Basic Z29vZDo=")[0] == 200
    assert application.seen[0]["hourpass.claims"] == KeyIdentity("bob", "k", "videos.read")
    assert ask(app, "Basic YmFkOg==")[0] == 401


def test_a_head_request_is_refused_without_a_body(protect):
    assert ask(protect(), method="HEAD")[::2] == (401, b"")
