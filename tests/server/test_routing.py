"""Paths, methods, sizes and media types, before any rule is asked."""

import pytest

PROBLEM = "application/problem+json"
JSON_PATHS = ["/auth/api-key", "/auth/refresh"]
FORM_PATHS = ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]
GET_PATHS = ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/health/live", "/health/ready"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/auth",
        "/auth/",
        "/auth/api-key/",
        "//auth/api-key",
        "/AUTH/API-KEY",
        "/auth/verify/",
        "/metrics",
        "/admin",
    ],
)
async def test_an_unknown_path_is_404_and_never_a_redirect(http, path):
    """contract.md, "Errors"."""
    answer = await http.get(f"http://hourpass.test{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unrecognized request URL.",
        "name": "",
        "status": 404,
    }


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", JSON_PATHS + FORM_PATHS)
async def test_a_token_endpoint_allows_post_alone(http, path, method):
    answer = await http.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", GET_PATHS)
async def test_a_route_that_only_reads_allows_get_and_head(http, path, method):
    answer = await http.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["title"] == "Method is not allowed for this route."


@pytest.mark.anyio
@pytest.mark.parametrize("path", GET_PATHS)
async def test_head_answers_the_headers_of_get(http, path):
    """RFC 9110 §9.3.2."""
    got, headed = await http.get(path), await http.head(path)

    assert headed.status_code == got.status_code == 200
    assert headed.headers == got.headers


@pytest.mark.anyio
@pytest.mark.parametrize(("size", "status"), [(8_192, 200), (8_193, 413)])
async def test_a_body_is_read_up_to_8_kib(server, http, size, status):
    """contract.md, "Limits"."""
    body = f'{{"apiKey":"{await server.create_key()}"}}'.ljust(size)

    answer = await http.post("/auth/api-key", content=body)

    assert answer.status_code == status


@pytest.mark.anyio
@pytest.mark.parametrize("path", JSON_PATHS + FORM_PATHS)
async def test_a_larger_body_is_413_and_a_problem(http, path):
    headers = {"content-type": "application/x-www-form-urlencoded"}

    answer = await http.post(path, content=b"a" * 16_385, headers=headers)

    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
    assert answer.json()["status"] == 413
    assert answer.json()["title"]


@pytest.mark.anyio
async def test_a_larger_body_in_many_pieces_is_not_read_to_its_end(http):
    pieces = 0

    async def endless():
        nonlocal pieces
        while True:
            pieces += 1
            yield b" " * 1_024

    assert (await http.post("/auth/api-key", content=endless())).status_code == 413
    assert pieces == 9


@pytest.mark.anyio
async def test_the_limit_is_the_operators(start):
    server = await start(body_limit=1_024)
    body = f'{{"apiKey":"{await server.create_key()}"}}'

    statuses = [
        (await server.client().post("/auth/api-key", content=body.ljust(size))).status_code for size in (1024, 1025)
    ]

    assert statuses == [200, 413]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "nonsense", ""],
)
@pytest.mark.parametrize("tail", ["", "\n", "\r\n", " \t\n\n"], ids=ascii)
async def test_a_json_body_is_read_with_any_type_and_white_space_behind_it(server, http, content_type, tail):
    """contract.md, compatibility rule 1."""
    body = f'{{"apiKey":"{await server.create_key()}"}}{tail}'

    answer = await http.post("/auth/api-key", content=body, headers={"content-type": content_type})

    assert answer.status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_a_form_must_say_that_it_is_one(http, path, content_type):
    """RFC 6749 §3.2 and appendix B. A browser's form cannot be made to say so without a preflight."""
    answer = await http.post(
        path, content=b"grant_type=client_credentials&token=x", headers={"content-type": content_type}
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", ["", "; charset=UTF-8", ";charset=utf-8"])
@pytest.mark.parametrize("spelling", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded"])
async def test_the_forms_type_is_read_in_any_case_and_with_parameters(http, spelling, suffix):
    """RFC 9110 §8.3.1."""
    answer = await http.post("/oauth/revoke", content=b"token=x", headers={"content-type": spelling + suffix})

    assert answer.status_code == 200


@pytest.mark.anyio
async def test_a_query_on_a_token_endpoint_is_ignored(server, http):
    answer = await http.post("/auth/api-key?apiKey=x", json={"apiKey": await server.create_key()})

    assert answer.status_code == 200


@pytest.mark.anyio
async def test_with_a_prefix_every_route_lives_under_it(start):
    server = await start(path_prefix="/login", issuer="http://hourpass.test/login")
    http = server.client()
    http.base_url = "http://hourpass.test"
    key = await server.create_key()

    assert (await http.post("/login/auth/api-key", json={"apiKey": key})).status_code == 200
    assert (await http.get("/login/auth/verify")).status_code == 401
    assert (await http.get("/login")).status_code == 404
    metadata = (await http.get("/login/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint"] == "http://hourpass.test/login/oauth/token"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/loginauth/verify", "/login/login/auth/verify", "/login//auth/verify"])
async def test_a_prefix_ends_at_a_slash_and_is_cut_off_once(start, path):
    server = await start(path_prefix="/login")

    assert (await server.client().get(f"http://hourpass.test{path}")).status_code == 404
