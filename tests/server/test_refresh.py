"""`POST /auth/refresh` over HTTP: the table of contract.md, "POST /auth/refresh", as a client sees it."""

import shutil

import pytest
from tests.server.conftest import claims_of

from hourpass.core.policy import DAY, HOUR, SECOND

TITLE = "The refresh token is invalid."


async def refresh(http, token, **asked):
    return await http.post("/auth/refresh", json={"refreshToken": token, **asked})


def refusal(reason):
    return {"type": "about:blank", "title": TITLE, "name": "", "status": 400, "reason": reason}


def generation_of(token):
    return claims_of(token)["gen"]


@pytest.mark.anyio
async def test_a_refresh_answers_a_new_pair_of_the_same_grant(server, http):
    """contract.md, "POST /auth/refresh", first row."""
    old_access, old_refresh = await server.tokens(scope="a")
    server.clock.advance(5)

    answer = await refresh(http, old_refresh)

    assert list(answer.json()) == ["token_type", "expires_in", "access_token", "refresh_token"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    new = claims_of(answer.json()["access_token"])
    assert new["sid"] == claims_of(old_access)["sid"]
    assert new["jti"] != claims_of(old_access)["jti"]
    assert new["exp"] == claims_of(old_access)["exp"] + 5
    assert generation_of(answer.json()["refresh_token"]) == generation_of(old_refresh) + 1


@pytest.mark.anyio
async def test_a_refresh_never_touches_an_earlier_access_token(server, http):
    old_access, old_refresh = await server.tokens()

    await refresh(http, old_refresh)

    verified = await http.get("/auth/verify", headers={"authorization": f"Bearer {old_access}"})
    assert verified.status_code == 204


@pytest.mark.anyio
async def test_a_retry_within_the_window_gets_the_current_generation_again(server, http):
    """contract.md, promise 2: at exactly the end of the window it is still a retry."""
    _, token = await server.tokens()
    first = (await refresh(http, token)).json()["refresh_token"]

    server.clock.advance(60)
    again = await refresh(http, token)

    assert again.status_code == 200
    assert generation_of(again.json()["refresh_token"]) == generation_of(first)


@pytest.mark.anyio
async def test_a_replay_after_the_window_revokes_the_grant(server, http):
    """contract.md, promise 4 (RFC 9700 §4.14.2)."""
    access, token = await server.tokens()
    current = (await refresh(http, token)).json()["refresh_token"]

    await server.later(60.001)
    replayed = await refresh(http, token)

    assert (replayed.status_code, replayed.json()) == (400, refusal("replayed"))
    assert (await refresh(http, current)).json() == refusal("replayed")
    verified = await http.get("/auth/verify", headers={"authorization": f"Bearer {access}"})
    assert 'error_description="revoked"' in verified.headers["www-authenticate"]


@pytest.mark.anyio
async def test_without_a_window_the_second_use_is_a_replay_in_the_same_millisecond(start):
    """contract.md, "POST /auth/refresh": with a window of 0 a refresh token works exactly once."""
    server = await start(retry_window=0)
    _, token = await server.tokens()

    answers = [await refresh(server.client(), token) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json() == refusal("replayed")


@pytest.mark.anyio
async def test_a_keys_own_window_applies(server, http):
    _, token = await server.tokens(retry_window=0)

    assert [(await refresh(http, token)).status_code for _ in range(2)] == [200, 400]


@pytest.mark.anyio
async def test_the_ninth_rotation_within_the_window_keeps_the_generation(server, http):
    """contract.md, "POST /auth/refresh", second row."""
    _, token = await server.tokens()
    generations = []
    for _ in range(10):
        answer = await refresh(http, token)
        token = answer.json()["refresh_token"]
        generations.append(generation_of(token))

    assert generations == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]


@pytest.mark.anyio
async def test_a_token_from_the_future_is_refused_and_revokes_nothing(start, tmp_path):
    """contract.md, "POST /auth/refresh": the database went back to a backup."""
    settings = {"data": str(tmp_path), "database_url": f"sqlite:{tmp_path}/live.db"}
    before = await start(**settings)
    _, token = await before.tokens()
    await before.app.stop()
    shutil.copy(tmp_path / "live.db", tmp_path / "backup.db")
    await before.app.start()
    ahead = (await refresh(before.client(), token)).json()["refresh_token"]
    await before.app.stop()

    restored = await start(**{**settings, "database_url": f"sqlite:{tmp_path}/backup.db"})

    assert (await refresh(restored.client(), ahead)).json() == refusal("ahead")
    assert (await refresh(restored.client(), token)).status_code == 200


@pytest.mark.anyio
async def test_a_grant_that_nobody_refreshed_ends_at_exactly_its_idle_expiry(server, http):
    _, token = await server.tokens()
    _, other = await server.tokens()
    server.clock.advance(30 * DAY // SECOND - 0.001)
    assert (await refresh(http, token)).status_code == 200

    server.clock.advance(0.001)

    assert (await refresh(http, other)).json() == refusal("expired")


@pytest.mark.anyio
async def test_a_rotation_slides_the_idle_expiry_and_a_retry_does_not(server, http):
    _, token = await server.tokens()
    server.clock.advance(1_000)
    rotated = (await refresh(http, token)).json()["refresh_token"]
    server.clock.advance(60)
    retried = (await refresh(http, token)).json()["refresh_token"]

    idle_days = 30 * DAY // SECOND
    assert claims_of(rotated)["exp"] == claims_of(token)["iat"] + 1_000 + idle_days
    assert claims_of(retried)["exp"] == claims_of(rotated)["exp"]


@pytest.mark.anyio
async def test_no_refresh_outlives_the_absolute_lifetime(start):
    server = await start(idle_lifetime=3600, absolute_lifetime=7200)
    _, token = await server.tokens()
    for _ in range(3):
        server.clock.advance(1800)
        token = (await refresh(server.client(), token)).json()["refresh_token"]

    server.clock.advance(1800)

    assert (await refresh(server.client(), token)).json() == refusal("expired")


@pytest.mark.anyio
async def test_a_refresh_of_a_revoked_key_says_that_the_key_is_disabled(server, http):
    """contract.md, "POST /auth/refresh": exchanging the key again would not help."""
    key = await server.create_key()
    token = (await server.exchange(key)).refresh_token.decode()
    await server.revoke_key(key)

    assert (await refresh(http, token)).json() == refusal("key_disabled")


@pytest.mark.anyio
async def test_a_refresh_of_an_expired_key_says_that_the_key_is_disabled(server, http):
    _, token = await server.tokens(expires_in=HOUR)
    server.clock.advance(3600)

    assert (await refresh(http, token)).json() == refusal("key_disabled")


MALFORMED = {
    "nothing": lambda access, token: "",
    "a word": lambda access, token: "token",
    "not ASCII": lambda access, token: token + "é",
    "cut short": lambda access, token: token[:-1],
    "a signature of nothing": lambda access, token: token.rpartition(".")[0] + ".",
    "another payload": lambda access, token: token.replace(".", ".e", 1),
    "a fourth part": lambda access, token: token + ".",
    "padding": lambda access, token: token + "=",
    "a space behind": lambda access, token: token + " ",
    "almost 8 KiB": lambda access, token: token + "A" * (8_150 - len(token)),
}


@pytest.mark.anyio
@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_token_that_this_server_never_made_is_malformed_and_burns_nothing(server, http, spoil):
    """threat-model.md, "Attackers": failing traffic burns and revokes nothing genuine."""
    access, token = await server.tokens()

    answer = await refresh(http, spoil(access, token))

    assert (answer.status_code, answer.json()) == (400, refusal("malformed"))
    assert generation_of((await refresh(http, token)).json()["refresh_token"]) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("state", ["good", "expired", "of another server", "damaged"])
async def test_an_access_token_is_told_what_to_send_instead(server, start, http, state):
    access, _ = await (await start() if state == "of another server" else server).tokens()
    access = access[:-4] + "AAAA" if state == "damaged" else access
    server.clock.advance(4_000 if state == "expired" else 0)

    answer = await refresh(http, access)
    by_form = await http.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": access})

    title = "This is an access token: send the refresh token that came with it."
    assert (answer.status_code, answer.json()) == (400, refusal("access_token_given") | {"title": title})
    said = {"error": "invalid_grant", "error_description": title, "reason": "access_token_given"}
    assert (by_form.status_code, by_form.json()) == (400, said)


@pytest.mark.anyio
@pytest.mark.parametrize("rotations", [0, 1, 8])
async def test_a_generation_has_one_text_whenever_it_is_asked_for(start, rotations):
    """A retry is answered with the very same refresh token, also a second or a minute later."""
    server = await start(retry_window=300)
    http, (_, token) = server.client(), await server.tokens()
    for _ in range(rotations):
        server.clock.advance(40)
        token = (await refresh(http, token)).json()["refresh_token"]
    server.clock.advance(40)
    texts = []
    for seconds in (0, 0.9, 1, 58):
        server.clock.advance(seconds)
        texts.append((await refresh(http, token)).json()["refresh_token"])

    assert len(set(texts)) == 1
    assert texts[0] != token
    assert claims_of(texts[0])["iat"] == (server.clock() - 59_900) // 1000


@pytest.mark.anyio
async def test_a_burst_is_answered_with_the_very_token_that_was_sent(server, http):
    _, token = await server.tokens()
    for _ in range(8):
        token = (await refresh(http, token)).json()["refresh_token"]
    server.clock.advance(2)

    assert (await refresh(http, token)).json()["refresh_token"] == token


@pytest.mark.anyio
async def test_a_token_of_another_server_is_malformed(server, start):
    _, strange = await (await start()).tokens()

    assert (await refresh(server.client(), strange)).json() == refusal("malformed")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "name"),
    [({}, "refreshToken"), ({"refreshToken": 1}, "refreshToken"), ({"refreshToken": "x", "scope": 1}, "scope")],
    ids=["missing", "a number", "scope a number"],
)
async def test_a_member_of_the_wrong_type_is_named(http, body, name):
    answer = await http.post("/auth/refresh", json=body)

    assert answer.json() == {"type": "about:blank", "title": "Invalid attributes.", "name": name, "status": 400}


@pytest.mark.anyio
async def test_a_requested_scope_narrows_this_access_token_alone(server, http):
    _, token = await server.tokens(scope="a b")

    narrow = (await refresh(http, token, scope="a")).json()
    full = (await refresh(http, narrow["refresh_token"])).json()

    assert claims_of(narrow["access_token"])["scope"] == "a"
    assert claims_of(full["access_token"])["scope"] == "a b"


@pytest.mark.anyio
async def test_a_grant_opened_narrow_never_widens(server, http):
    key = await server.create_key(scope="a b")
    token = (await server.exchange(key, scope="a")).refresh_token.decode()

    assert claims_of((await refresh(http, token)).json()["access_token"])["scope"] == "a"
    assert (await refresh(http, token, scope="a b")).json()["name"] == "scope"


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [{"scope": "b"}, {"expiresIn": 0}], ids=["scope", "expiresIn"])
async def test_a_refused_request_rotates_nothing(server, http, asked):
    _, token = await server.tokens(scope="a")

    answer = await refresh(http, token, **asked)

    assert (answer.status_code, answer.json()["name"]) == (400, next(iter(asked)))
    assert generation_of((await refresh(http, token)).json()["refresh_token"]) == 1


@pytest.mark.anyio
async def test_a_requested_lifetime_shortens_this_access_token(server, http):
    _, token = await server.tokens()

    assert (await refresh(http, token, expiresIn=60)).json()["expires_in"] == 60
