"""One cache, several API keys: nobody gets a token that another key has opened."""

from hourpass.client.refresh.cache import FileCache


def test_each_key_gets_its_own_token_from_a_shared_cache(make, endpoint, tmp_path):
    """Used by another key, a token would act in another's name. A refresh keeps the name."""
    path = tmp_path / "token"
    make("ONE", cache=FileCache(path)).token()
    make(None, cache=FileCache(path)).refresh(rejected=1)

    assert make("ONE", cache=FileCache(path)).token() == "access-2"
    assert make("TWO", cache=FileCache(path)).token() == "access-3"
    assert make("ONE", cache=FileCache(path)).token() == "access-4"
    assert make(None, cache=FileCache(path)).token() == "access-4"
    assert endpoint.paths == ["api-key", "refresh", "api-key", "api-key"]
    assert "ONE" not in path.read_text()


def test_a_callable_is_known_by_the_name_it_comes_with(make, tmp_path):
    path = tmp_path / "token"
    make(lambda: "ONE", cache=FileCache(path), key_name="first").token()

    assert make(lambda: "TWO", cache=FileCache(path), key_name="second").token() == "access-2"
    assert make(lambda: "TWO", cache=FileCache(path)).token() == "access-2"
