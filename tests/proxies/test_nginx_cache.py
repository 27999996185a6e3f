"""The caching that nginx.conf has commented out: a second at most, for the one credential, and never for a key."""

import base64
import secrets
import time

import pytest
from tests.proxies.proxies import CachingNginx, Nginx


@pytest.fixture
def cached(start, tap):
    """A caching nginx, and what it sends to hourpass."""
    running = start(CachingNginx, tap.port)
    yield running, tap
    running.stop()


def begin_second():
    """Wait for the next whole second, so that what follows lies within one."""
    time.sleep(1.02 - time.time() % 1)


def test_within_a_second_hourpass_is_asked_once_for_each_token_and_scope(cached, reader, stranger):
    nginx, tap = cached
    begin_second()
    statuses = [
        nginx.client.get(path, headers=key.bearer).status_code
        for key in (reader, stranger)
        for path in ("/me", "/me", "/videos", "/videos")
    ]

    assert statuses == [200, 200, 200, 200, 200, 200, 403, 403]
    # The refusals are asked for each time.
    assert tap.sent.count(reader.access_token.encode()) == 2
    assert tap.sent.count(stranger.access_token.encode()) == 3


def test_the_next_second_asks_again(cached, reader):
    nginx, tap = cached
    for _ in range(2):
        begin_second()
        assert nginx.client.get("/anything", headers=reader.bearer).status_code == 200

    assert tap.sent.count(reader.access_token.encode()) == 2


def test_a_remembered_answer_carries_its_own_identity(cached, reader, stranger):
    nginx, _ = cached
    begin_second()
    for _ in range(2):
        for key in (reader, stranger):
            assert key.key_id in nginx.client.get("/me", headers=key.bearer).text


def test_a_revoked_token_is_refused_within_a_second_all_the_same(cached, make_key):
    nginx, _ = cached
    key = make_key()
    begin_second()
    assert nginx.client.get("/me", headers=key.bearer).status_code == 200
    nginx.client.post("/oauth/revoke", data={"token": key.access_token}).raise_for_status()
    begin_second()

    assert nginx.client.get("/me", headers=key.bearer).status_code == 401


def test_an_api_key_is_never_remembered_nor_written(cached, reader):
    nginx, tap = cached
    for _ in range(2):
        assert nginx.client.get("/anything", auth=(reader.api_key, "")).status_code == 200
    basic = base64.b64encode(f"{reader.api_key}:".encode())

    assert tap.sent.count(basic) == 2
    files = [path for path in (nginx.folder / "cache").rglob("*") if path.is_file()]
    assert not any(basic in path.read_bytes() for path in files)


@pytest.mark.parametrize("end", ["", ".", ".a", ".a.b.c", "~a.b"], ids=["whole", "dot", "two", "four", "odd"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_what_has_not_the_form_of_a_token_is_never_remembered_nor_written(
    cached, scheme, end, hourpass, reader, tmp_path
):
    """A raw key may come as a bearer credential, and one that was imported may begin as a token does."""
    nginx, tap = cached
    key = reader.api_key
    if end:
        key = f"eyJ{secrets.token_hex(24)}{end}"
        rows = tmp_path / "keys.csv"
        rows.write_text(f"name,key\nimported,{key}\n")
        hourpass.command("keys", "import", str(rows))
    begin_second()
    for _ in range(2):
        assert nginx.client.get("/me", headers={"Authorization": f"{scheme} {key}"}).status_code == 200

    assert tap.sent.count(key.encode()) == 2
    files = [path for path in (nginx.folder / "cache").rglob("*") if path.is_file()]
    assert not any(key.encode() in path.read_bytes() for path in files)


def test_as_delivered_every_request_is_asked_about(start, tap, reader):
    nginx = start(Nginx, tap.port)
    begin_second()
    for _ in range(3):
        nginx.client.get("/anything", headers=reader.bearer)
    nginx.stop()

    assert tap.sent.count(reader.access_token.encode()) == 3
