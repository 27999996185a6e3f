"""The master key: its source, its readers, and the secrets that it seals."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from hourpass.core.errors import ConfigurationError
from hourpass.server import create_app
from hourpass.server.keys.master_key import CREDENTIAL_NAME, FILE_NAME, MasterKey, load_master_key
from hourpass.server.settings.settings import Settings
from hourpass.testing import Clock, InMemoryServer

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(32)).decode()


def same(one: MasterKey, other: MasterKey) -> bool:
    return other.open("x", one.seal("x", b"secret")) == b"secret"


def refusal(configured, data, environ=None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_master_key(configured, data, environ or {})
    return caught.value.detail


def test_the_first_start_makes_a_file_for_its_owner_alone(tmp_path):
    made = load_master_key(None, tmp_path, {})

    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert len(base64.b64decode((tmp_path / FILE_NAME).read_text())) == 32
    assert same(made, load_master_key(None, tmp_path, {}))


def test_two_folders_have_two_keys(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sealed = load_master_key(None, tmp_path / "a", {}).seal("x", b"secret")

    with pytest.raises(ConfigurationError):
        load_master_key(None, tmp_path / "b", {}).open("x", sealed)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o610, 0o601], ids=oct)
def test_a_file_that_is_open_to_others_is_refused(tmp_path, mode):
    load_master_key(None, tmp_path, {})
    (tmp_path / FILE_NAME).chmod(mode)

    assert f"mode {mode:04o}" in refusal(None, tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700], ids=oct)
def test_a_file_for_its_owner_alone_is_good(tmp_path, mode):
    made = load_master_key(None, tmp_path, {})
    (tmp_path / FILE_NAME).chmod(mode)

    assert same(made, load_master_key(None, tmp_path, {}))


def test_the_configured_key_beats_the_credential_beats_the_file(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / CREDENTIAL_NAME).write_text(f"{OTHER}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}

    configured = load_master_key(KEY, tmp_path, environ)
    from_systemd = load_master_key(None, tmp_path, environ)

    assert same(configured, MasterKey(bytes(range(32))))
    assert same(from_systemd, MasterKey(bytes(32)))
    assert not (tmp_path / FILE_NAME).exists()


def test_without_our_credential_systemds_folder_changes_nothing(tmp_path):
    (tmp_path / "another-credential").write_text("x")

    load_master_key(None, tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not base64!", "not base64"),
        (KEY[:-2], "not base64"),
        (base64.b64encode(bytes(31)).decode(), "31 bytes long instead of 32"),
        (base64.b64encode(bytes(33)).decode(), "33 bytes long instead of 32"),
        ("", "0 bytes long"),
    ],
)
def test_a_key_that_is_not_32_base64_bytes_is_refused_from_every_source(tmp_path, text, words):
    (tmp_path / FILE_NAME).touch(0o600)
    (tmp_path / FILE_NAME).write_text(text)

    assert words in refusal(text, tmp_path)
    assert words in refusal(None, tmp_path)


def test_a_refusal_never_repeats_the_key(tmp_path):
    assert KEY[:-2] not in refusal(KEY[:-2], tmp_path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    assert str(tmp_path / "nowhere" / FILE_NAME) in refusal(None, tmp_path / "nowhere")


def test_sealing_the_same_secret_twice_looks_different():
    master = MasterKey(bytes(32))

    assert master.seal("x", b"secret") != master.seal("x", b"secret")


def test_a_sealed_secret_cannot_stand_in_for_another():
    master = MasterKey(bytes(32))
    sealed = master.seal("pepper", b"secret")

    with pytest.raises(ConfigurationError, match="refresh secret"):
        master.open("refresh secret", sealed)


@pytest.mark.parametrize("position", [0, 11, 12, -1])
def test_one_changed_byte_opens_nothing(position):
    master = MasterKey(bytes(32))
    sealed = bytearray(master.seal("x", b"secret"))
    sealed[position] ^= 1

    with pytest.raises(ConfigurationError):
        master.open("x", bytes(sealed))


@pytest.mark.parametrize(
    "sealed",
    [
        b"",
        *(bytes(11), bytes(12), bytes(27)),
    ],
    ids=len,
)
def test_bytes_too_short_to_be_sealed_do_not_open(sealed):
    with pytest.raises(ConfigurationError):
        MasterKey(bytes(32)).open("x", sealed)


def test_a_master_keys_repr_shows_nothing():
    assert "00" not in repr(MasterKey(bytes(32))).split(" at ")[0]


@pytest.mark.anyio
async def test_a_server_with_the_wrong_master_key_does_not_start(tmp_path):
    database = {"data": str(tmp_path), "database_url": f"sqlite:{tmp_path}/x.db"}
    async with InMemoryServer(**database, master_key=KEY):
        pass

    with pytest.raises(ConfigurationError, match="belongs to another data folder"):
        await create_app(Settings(**database, master_key=OTHER), clock=Clock(), environ={}).start()


@pytest.mark.anyio
async def test_no_secret_is_in_the_database_in_the_clear(tmp_path):
    """contract.md, promise 5: never a token, nor a hash of one. Never a key, the pepper or a private key, either."""
    database = {"data": str(tmp_path), "database_url": f"sqlite:{tmp_path}/x.db"}
    async with InMemoryServer(**database) as server:
        api_key = await server.create_key()
        pair = await server.exchange(api_key)
        secrets = [api_key.encode(), api_key[-32:-6].encode(), pair.access_token, pair.refresh_token]
        secrets += [pair.refresh_token.rpartition(b".")[2], server.app.issuer.secrets.pepper.secret]
        secrets += [each.secret for each in server.app.issuer.secrets.refresh.secrets]

    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("x.db"))

    assert api_key.split("_")[2].encode() in written
    assert not [secret for secret in secrets if secret in written]


def test_a_missing_key_is_not_made_if_secrets_are_sealed_with_it(tmp_path):
    """A new one could open nothing, and would hide that the real one is gone."""
    with pytest.raises(ConfigurationError, match="is missing"):
        load_master_key(None, tmp_path, {}, create=False)

    assert list(tmp_path.iterdir()) == []


def test_first_starts_at_once_all_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(16) as starts:
        made = list(starts.map(lambda _: load_master_key(None, tmp_path, {}), range(64)))

    assert all(same(made[0], other) for other in made)
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
