"""curl with the very arguments of the source's guide, "Disposable Bearer Token Authentication"."""

import json

HEADERS = ("--header", "accept: application/json", "--header", "content-type: application/json")


def exchange(curl, demo) -> dict:
    body = json.dumps({"apiKey": demo.api_key})
    return json.loads(curl("--request", "POST", "--url", f"{demo.url}/auth/api-key", *HEADERS, "--data", body))


def refresh(curl, demo, token: str) -> dict:
    body = json.dumps({"refreshToken": token})
    return json.loads(curl("--request", "POST", "--url", f"{demo.url}/auth/refresh", *HEADERS, "--data", body))


def videos(curl, demo, token: str) -> dict:
    return json.loads(curl("--location", f"{demo.url}/videos", "--header", f"Authorization: Bearer {token}"))


def test_obtain_the_bearer_token(curl, demo):
    answer = exchange(curl, demo)

    assert list(answer) == ["token_type", "expires_in", "access_token", "refresh_token"]
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert answer["access_token"].startswith("eyJ0eXAiO")
    assert answer["refresh_token"].startswith("eyJ0eXAiO")


def test_use_it_on_any_endpoint(curl, demo):
    answer = videos(curl, demo, exchange(curl, demo)["access_token"])

    assert len(answer["data"]) == answer["pagination"]["itemsTotal"]


def test_refresh_it_and_go_on_with_either_access_token(curl, demo):
    first = exchange(curl, demo)
    second = refresh(curl, demo, first["refresh_token"])

    assert list(second) == list(first)
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    for pair in (first, second):
        assert videos(curl, demo, pair["access_token"])["data"]


def test_the_key_itself_works_as_user_name(curl, demo):
    """The guide calls the token optional. This is the source's Basic authentication."""
    assert json.loads(curl("-u", f"{demo.api_key}:", f"{demo.url}/videos"))["data"]


def test_a_refusal_is_a_problem_in_words(curl, demo):
    assert videos(curl, demo, "eyJ0eXAiO")["status"] == 401
    assert refresh(curl, demo, "eyJ0eXAiO")["title"] == "The refresh token is invalid."
