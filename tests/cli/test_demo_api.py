"""The demo's protected API, in process: who may ask, what is answered, and how a refusal looks."""

import httpx2
import pytest

from hourpass.cli.demo.api import VIDEOS, DemoApi
from hourpass.testing import InMemoryServer

pytestmark = pytest.mark.anyio

CHALLENGE = 'Bearer realm="hourpass"'


@pytest.fixture
async def server():
    async with InMemoryServer() as server:
        yield server


@pytest.fixture
def http(server):
    """A client of the demo that sends no credential unless it is given one."""
    transport = httpx2.ASGITransport(app=DemoApi(server.app))
    return httpx2.AsyncClient(transport=transport, base_url=server.settings.issuer)


@pytest.fixture
async def api_key(server):
    return await server.create_key(scope="videos.read")


@pytest.fixture
async def bearer(server, api_key):
    return {"authorization": f"Bearer {(await server.exchange(api_key)).access_token.decode()}"}


async def test_a_token_opens_every_route(http, bearer):
    for video_id in VIDEOS:
        assert (await http.get(f"/videos/{video_id}", headers=bearer)).json()["videoId"] == video_id
    assert len((await http.get("/videos", headers=bearer)).json()["data"]) == len(VIDEOS)


async def test_the_token_is_optional_the_key_itself_is_accepted_as_user_name(http, api_key):
    assert (await http.get("/videos", auth=(api_key, ""))).status_code == 200


@pytest.mark.parametrize("path", ["/videos", "/videos/vi-nobody", "/videos/"])
async def test_without_a_credential_every_route_is_401_with_a_challenge_and_a_problem(http, path):
    """RFC 6750 §3: no error code without a credential."""
    answer = await http.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401
    assert answer.json()["title"]


async def test_an_expired_token_is_401_and_the_challenge_says_why(server, http, bearer):
    server.clock.advance(3605)
    await server.app.issuer.verification.observe(server.clock())

    answer = await http.get("/videos", headers=bearer)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'{CHALLENGE}, error="invalid_token", error_description="expired"'
    assert answer.json()["status"] == 401


async def test_a_refresh_token_opens_nothing(server, http, api_key):
    pair = await server.exchange(api_key)

    answer = await http.get("/videos", headers={"authorization": f"Bearer {pair.refresh_token.decode()}"})

    assert answer.status_code == 401


async def test_a_token_without_the_scope_is_403_and_told_which_one(server, http):
    """RFC 6750 §3.1. Not 401: clients would refresh for ever."""
    pair = await server.exchange(await server.create_key(scope="introspect"))

    answer = await http.get("/videos", headers={"authorization": f"Bearer {pair.access_token.decode()}"})

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == f'{CHALLENGE}, error="insufficient_scope", scope="videos.read"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 403


async def test_the_callers_query_cannot_ask_for_less_than_the_scope(server, http):
    """The verify URL takes its scope from the query. A resource may not."""
    pair = await server.exchange(await server.create_key(scope="introspect"))
    headers = {"authorization": f"Bearer {pair.access_token.decode()}"}

    assert (await http.get("/videos?scope=introspect", headers=headers)).status_code == 403
    assert (await http.get("/videos?scope=", headers=headers)).status_code == 403


async def test_stale_revocations_are_503_and_never_401(server, http, bearer):
    server.clock.advance(11)

    answer = await http.get("/videos", headers=bearer)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["status"] == 503


@pytest.mark.parametrize(
    ("query", "titles", "pages"),
    [
        ("", 12, 1),
        ("?pageSize=5", 5, 3),
        ("?currentPage=3&pageSize=5", 2, 3),
        ("?currentPage=4&pageSize=5", 0, 3),
        ("?currentPage=1&pageSize=1", 1, 12),
        ("?pageSize=100", 12, 1),
        ("?title=NIGHT", 1, 1),
        ("?title=the&pageSize=3", 3, 2),
        ("?title=nothing%20like%20it", 0, 1),
        ("?sortBy=title&unknown=1", 12, 1),
    ],
)
async def test_a_page_holds_what_was_asked_for_and_says_how_much_that_is(http, bearer, query, titles, pages):
    answer = (await http.get(f"/videos{query}", headers=bearer)).json()

    assert len(answer["data"]) == answer["pagination"]["currentPageItems"] == titles
    assert answer["pagination"]["pagesTotal"] == pages
    assert answer["pagination"].keys() == {
        "currentPage",
        "pageSize",
        "pagesTotal",
        "itemsTotal",
        "currentPageItems",
        "links",
    }


async def test_following_next_from_the_first_page_meets_every_video_once(http, bearer):
    uri, seen = "/videos?currentPage=1&pageSize=5&title=e", []
    while uri is not None:
        answer = (await http.get(uri, headers=bearer)).json()
        seen += [video["videoId"] for video in answer["data"]]
        uri = {link["rel"]: link["uri"] for link in answer["pagination"]["links"]}.get("next")

    assert seen == [video_id for video_id, video in VIDEOS.items() if "e" in video["title"].lower()]


async def test_a_page_links_to_itself_and_to_its_neighbours(http, bearer):
    answer = (await http.get("/videos?currentPage=2&pageSize=5", headers=bearer)).json()

    assert answer["pagination"]["links"] == [
        {"rel": rel, "uri": f"/videos?currentPage={page}&pageSize=5"}
        for rel, page in [("self", 2), ("first", 1), ("last", 3), ("previous", 1), ("next", 3)]
    ]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("currentPage=0", "currentPage"),
        ("currentPage=-1", "currentPage"),
        ("currentPage=one", "currentPage"),
        ("currentPage=1.5", "currentPage"),
        ("currentPage=", "currentPage"),
        ("currentPage=%C2%B2", "currentPage"),
        ("currentPage=" + "9" * 5000, "currentPage"),
        ("pageSize=0", "pageSize"),
        ("pageSize=101", "pageSize"),
        ("pageSize=%2B5", "pageSize"),
        ("title=%FF", "query"),
        ("&".join("a=1" for _ in range(40)), "query"),
    ],
    ids=lambda value: value[:24],
)
async def test_a_page_out_of_range_is_a_400_that_names_the_parameter(http, bearer, query, name):
    answer = await http.get(f"/videos?{query}", headers=bearer)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Invalid attributes.", "name": name, "status": 400}


@pytest.mark.parametrize("path", ["/videos/vi-nobody", "/videos/", "/videos/a/b", "/videos/%FF"])
async def test_a_video_that_is_not_there_is_a_404_problem(http, bearer, path):
    answer = await http.get(path, headers=bearer)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["title"], answer.json()["name"]) == ("The requested resource was not found.", "videoId")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/videos", "/videos/vi-nobody"])
async def test_another_method_is_405_and_told_what_is_allowed(http, bearer, method, path):
    answer = await http.request(method, path, headers=bearer)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/videos", "/videos/vi-nobody"])
async def test_head_answers_the_headers_of_get_without_a_body(http, bearer, path):
    """RFC 9110 §9.3.2."""
    get, head = await http.get(path, headers=bearer), await http.head(path, headers=bearer)

    assert (head.status_code, head.headers) == (get.status_code, get.headers)
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(get.content)


async def test_media_types_carry_no_parameters(http, bearer):
    """A charset breaks the source's official Node client."""
    assert (await http.get("/videos", headers=bearer)).headers["content-type"] == "application/json"


async def test_everything_else_is_the_applications_own(http, api_key):
    assert (await http.get("/health/live")).status_code == 200
    assert (await http.get("/videosphere")).json()["title"] == "Unrecognized request URL."
    assert (await http.post("/auth/api-key", json={"apiKey": api_key})).json()["token_type"] == "Bearer"


async def test_a_path_prefix_holds_for_the_videos_too():
    async with InMemoryServer(path_prefix="/login") as server:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=DemoApi(server.app)), base_url="http://demo.test")
        key = await server.create_key(scope="videos.read")

        assert (await http.get("/login/videos", auth=(key, ""))).status_code == 200
