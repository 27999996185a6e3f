"""The keyring as a cache: one credential for many processes, nothing of it in a file, clear words without one."""

import sys
import threading

import keyring
import keyring.backends.fail
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordSetError

from hourpass.client.cache import KeyringCache
from hourpass.core.errors import ConfigurationError, LockTimeout


class Drawer(KeyringBackend):
    """A keyring in memory; `trouble` is raised by whatever is asked of it."""

    priority = -1
    """Never chosen but by name."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[tuple[str, str], str] = {}
        self.trouble: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.trouble is not None:
            raise self.trouble
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.passwords[service, username]


@pytest.fixture
def use():
    """Makes a backend the keyring, until the test ends."""
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def drawer(use):
    drawer = Drawer()
    use(drawer)
    return drawer


@pytest.fixture
def cache(tmp_path):
    return KeyringCache("api.example.com", tmp_path / "folder" / "keyring")


def test_a_source_begins_where_another_ended(make, endpoint, drawer, cache, tmp_path):
    make(cache=cache).token()

    assert make(api_key=None, cache=KeyringCache("api.example.com", tmp_path / "other")).token() == "access-1"
    assert endpoint.paths == ["api-key"]
    assert list(drawer.passwords) == [("hourpass", "api.example.com")]


def test_each_name_is_a_credential_of_its_own(make, endpoint, drawer, cache, tmp_path):
    make(cache=cache).token()

    assert make(cache=KeyringCache("another", tmp_path / "other")).token() == "access-2"
    assert len(drawer.passwords) == 2


def test_a_refresh_is_kept_there(make, drawer, cache, clock):
    source = make(cache=cache)
    source.token()
    clock.advance(3_600)
    source.token()

    assert make(api_key=None, cache=cache).token() == "access-2"


def test_the_only_file_is_an_empty_lock(make, drawer, cache, tmp_path):
    make(cache=cache).token()

    files = {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()}
    assert files == {"keyring.lock": b""}


def test_two_caches_with_one_lock_path_keep_each_other_out(drawer, cache, tmp_path):
    same, caught = KeyringCache("another name", tmp_path / "folder" / "keyring"), []

    def second():
        try:
            with same.lock(0.05):
                pass
        except LockTimeout as error:
            caught.append(error)

    with cache.lock(1):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    assert len(caught) == 1
    with same.lock(1):
        pass


@pytest.mark.parametrize(
    "content", [None, "", "{}", '{"version":1}', "not ours"], ids=["absent", "empty", "object", "version", "text"]
)
def test_what_we_have_not_written_counts_as_absent(make, endpoint, drawer, cache, content):
    if content is not None:
        drawer.passwords["hourpass", "api.example.com"] = content

    assert make(cache=cache).token() == "access-1"


@pytest.mark.parametrize(
    "trouble", [KeyringLocked("SECRET"), RuntimeError("SECRET"), OSError(5, "SECRET")], ids=lambda it: type(it).__name__
)
def test_a_keyring_that_cannot_be_read_tells_the_kind_of_trouble_alone(make, endpoint, drawer, cache, trouble):
    """A locked desktop, or a backend that breaks: any text of it may hold what it was given."""
    drawer.trouble = trouble

    with pytest.raises(ConfigurationError) as caught:
        make(cache=cache).token()

    assert str(caught.value) == f"the keyring cannot be read ({type(trouble).__name__})"
    assert caught.value.__cause__ is None
    assert endpoint.requests == []


@pytest.mark.parametrize("trouble", [PasswordSetError("x"), RuntimeError("x")], ids=lambda it: type(it).__name__)
def test_a_keyring_that_cannot_be_written_does_not_cost_the_token(make, endpoint, drawer, cache, clock, trouble):
    def lock_before_the_write(event):
        if event in ("exchanged", "refreshed"):
            drawer.trouble = trouble
        elif event == "unsaved":
            drawer.trouble = None

    source = make(cache=cache, observe=lock_before_the_write)
    source.token()
    clock.advance(3_600)

    assert source.token() == "access-2"
    assert endpoint.paths == ["api-key", "refresh"]
    assert source.counts["unsaved"] == 2
    assert drawer.passwords == {}


def test_a_machine_without_a_keyring_is_told_what_to_use(make, endpoint, cache, use):
    use(keyring.backends.fail.Keyring())

    with pytest.raises(ConfigurationError) as caught:
        make(cache=cache).token()

    assert str(caught.value) == "this machine has no keyring: use a FileCache"
    assert endpoint.requests == []


def test_without_the_extra_the_error_names_it(make, endpoint, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigurationError, match=r"hourpass\[keyring\]"):
        make(cache=cache).token()

    assert endpoint.requests == []


def test_its_repr_holds_the_name_alone(drawer, cache):
    cache.write(b"SECRET")

    assert repr(cache) == "KeyringCache('api.example.com')"
