"""Bodies that break the contract, over real HTTP: each gets the contract's refusal, with nothing of it repeated."""

import httpx2
import pytest

PAYLOAD = "The payload is invalid."
ATTRIBUTES = "Invalid attributes."


def member(name, value):
    return b'{"%b":%b}' % (name.encode(), value)


# name -> (body around a planted secret, title, name of the member). `apiKey` becomes the endpoint's own member
UNREADABLE = {
    "empty": (lambda secret: b"", PAYLOAD, ""),
    "the secret alone": (lambda secret: secret, PAYLOAD, ""),
    "a form": (lambda secret: b"apiKey=" + secret, PAYLOAD, ""),
    "cut short": (lambda secret: member("apiKey", b'"%b"' % secret)[:-2], PAYLOAD, ""),
    "two documents": (lambda secret: member("apiKey", b'"%b"' % secret) * 2, PAYLOAD, ""),
    "an array": (lambda secret: b'["%b"]' % secret, PAYLOAD, ""),
    "a string": (lambda secret: b'"%b"' % secret, PAYLOAD, ""),
    "a number": (lambda secret: b"7", PAYLOAD, ""),
    "null": (lambda secret: b"null", PAYLOAD, ""),
    "single quotes": (lambda secret: b"{'apiKey':'%b'}" % secret, PAYLOAD, ""),
    "not UTF-8": (lambda secret: member("apiKey", b'"%b\xff"' % secret), PAYLOAD, ""),
    "half a surrogate pair": (lambda secret: member("apiKey", b'"%b\\ud800"' % secret), PAYLOAD, ""),
    "a nul": (lambda secret: member("apiKey", b'"%b\x00"' % secret), PAYLOAD, ""),
    "17 levels of arrays": (lambda secret: member("x", b"[" * 16 + b'"%b"' % secret + b"]" * 16), PAYLOAD, ""),
    "1,000 levels of objects": (lambda secret: b'{"a":' * 1_000 + b'"%b"' % secret + b"}" * 1_000, PAYLOAD, ""),
    "4,000 open brackets": (lambda secret: b"[" * 4_000 + secret, PAYLOAD, ""),
    "member missing": (lambda secret: member("apikey", b'"%b"' % secret), ATTRIBUTES, "apiKey"),
    "member null": (lambda secret: b'{"apiKey":null,"x":"%b"}' % secret, ATTRIBUTES, "apiKey"),
    "member an array": (lambda secret: member("apiKey", b'["%b"]' % secret), ATTRIBUTES, "apiKey"),
    "member an object": (lambda secret: member("apiKey", b'{"%b":1}' % secret), ATTRIBUTES, "apiKey"),
    "member a number": (lambda secret: b'{"apiKey":1,"x":"%b"}' % secret, ATTRIBUTES, "apiKey"),
    "scope an array": (lambda secret: b'{"apiKey":"%b","scope":[]}' % secret, ATTRIBUTES, "scope"),
    "lifetime a word": (lambda secret: b'{"apiKey":"%b","expiresIn":"1"}' % secret, ATTRIBUTES, "expiresIn"),
}


@pytest.mark.parametrize(("make", "title", "name"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("path", ["/auth/api-key", "/auth/refresh"])
def test_a_body_that_cannot_be_read_is_400(target, path, make, title, name):
    """contract.md, "Errors", first row."""
    body = make(target.api_key.encode() if path == "/auth/api-key" else target.refresh_token.encode())
    if path == "/auth/refresh":
        body, name = body.replace(b"apiKey", b"refreshToken"), name.replace("apiKey", "refreshToken")

    answer = httpx2.post(target.url + path, content=body)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": title, "name": name, "status": 400}
    assert target.tells(answer.content) == []


@pytest.mark.parametrize(
    ("path", "name", "title"),
    [
        ("/auth/api-key", "apiKey", "The user credentials were incorrect."),
        ("/auth/refresh", "refreshToken", "The refresh token is invalid."),
    ],
)
def test_a_secret_with_one_more_letter_is_400_and_not_repeated(target, path, name, title):
    secret = target.api_key if name == "apiKey" else target.refresh_token

    answer = httpx2.post(target.url + path, json={name: secret + "x"})

    assert (answer.status_code, answer.json()["title"]) == (400, title)
    assert target.tells(answer.content) == []


def test_the_exact_limit_is_read_and_one_byte_more_is_413(target):
    """contract.md, "Limits"."""
    answers = [
        httpx2.post(f"{target.url}/auth/api-key", content=target.exchange_body.ljust(size)) for size in (8_192, 8_193)
    ]

    assert [answer.status_code for answer in answers] == [200, 413]
    assert answers[1].headers["content-type"] == "application/problem+json"


FORMS = {
    "JSON": (b'{"token":"%b"}', "application/json"),
    "JSON that calls itself a form": (b'{"token":"%b"}', "application/x-www-form-urlencoded"),
    "a repeated parameter": (b"token=%b&token=x", "application/x-www-form-urlencoded"),
    "not UTF-8": (b"token=%b%%FF", "application/x-www-form-urlencoded"),
    "not ASCII": (b"token=%b\xff", "application/x-www-form-urlencoded"),
    "33 parameters": (b"token=%b" + b"&x=y" * 32, "application/x-www-form-urlencoded"),
    "no parameter": (b"x=%b", "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize(("form", "content_type"), FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_a_form_that_cannot_be_read_is_refused_and_revokes_nothing(target, path, form, content_type):
    """RFC 6749 §5.2."""
    body = form % target.refresh_token.encode()

    answer = httpx2.post(target.url + path, content=body, headers={"content-type": content_type})

    assert (answer.status_code, answer.headers["content-type"]) in (
        (400, "application/json"),
        (401, "application/json"),
    )
    assert target.tells(answer.content) == []
    assert httpx2.post(f"{target.url}/auth/refresh", json={"refreshToken": target.refresh_token}).status_code == 200


AUTHORIZATIONS = [
    "Bearer {access}x",
    "Bearer {access} {access}",
    "Bearer {access},Bearer {access}",
    "Bearer {refresh}",
    "Bearer {key}",
    "Basic {key}",
    "Digest {key}",
    "{access}",
]


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
def test_a_refused_authorization_is_401_and_not_repeated(target, authorization):
    value = authorization.format(access=target.access_token, refresh=target.refresh_token, key=target.api_key)

    answer = httpx2.get(f"{target.url}/auth/verify", headers={"authorization": value})

    assert answer.status_code == 401
    assert target.tells(str(answer.headers.raw).encode() + answer.content) == []


@pytest.mark.parametrize("place", ["path", "query", "header", "cookie"])
def test_a_secret_in_the_wrong_place_is_neither_repeated_nor_logged(target, place):
    url, headers = f"{target.url}/auth/verify", {}
    if place == "path":
        url += f"/{target.api_key}"
    elif place == "query":
        url += f"?access_token={target.access_token}&apiKey={target.api_key}"
    else:
        headers = {"x-api-key" if place == "header" else "cookie": f"token={target.api_key}"}

    answer = httpx2.get(url, headers=headers)

    assert answer.status_code in (400, 401, 404)
    assert target.tells(str(answer.headers.raw).encode() + answer.content) == []
