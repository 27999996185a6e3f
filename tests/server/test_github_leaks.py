"""`POST /leaks/github`: GitHub's secret scanning reports leaked keys, proven by its signature, once for each key."""

import json
import logging
import os
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_imported_keys import TEXT, import_key

from hourpass.core.errors import ConfigurationError
from hourpass.server.keys.github_keys import GithubKeys
from hourpass.server.serve import create_app
from hourpass.server.settings.loading import load
from hourpass.server.settings.settings import Settings

pytestmark = pytest.mark.anyio

URL = "https://github.com/octocat/hello/blob/main/.env"
ROUTE = "/leaks/github"


class Github:
    """GitHub's side: a key of its own, the document that publishes it, and reports that it signs."""

    def __init__(self, file) -> None:
        self.file = file
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.identifier = "first"
        self.publish()

    def publish(self, *more: dict) -> None:
        pem = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        keys = [{"key_identifier": self.identifier, "key": pem, "is_current": True}, *more]
        self.file.write_text(json.dumps({"public_keys": keys}))

    def change_key(self, identifier: str) -> None:
        self.private, self.identifier = ec.generate_private_key(ec.SECP256R1()), identifier

    def signed(self, body: bytes) -> dict[str, str]:
        signature = self.private.sign(body, ec.ECDSA(hashes.SHA256()))
        return {
            "Github-Public-Key-Identifier": self.identifier,
            "Github-Public-Key-Signature": b64encode(signature).decode(),
        }

    async def report(self, http, *tokens: str, url: str | None = URL, **more):
        body = json.dumps([{"token": each, "type": "hp", "url": url, "source": "content"} for each in tokens]).encode()
        return await http.post(ROUTE, content=body, headers={**self.signed(body), **more})


@pytest.fixture
def github(tmp_path):
    return Github(tmp_path / "github.json")


@pytest.fixture
async def server(start, github):
    return await start(github_leaks="revoke", github_leak_keys=str(github.file))


async def told(server) -> list[tuple[str, str, dict]]:
    trail = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 1_000))
    return [(each.event, each.key_id, each.detail) for each in trail if each.event in ("key.leaked", "key.revoked")]


async def state(server, key_id: str):
    return (await server.app.issuer.ledger.read(lambda store: store.key(key_id))).revoked_why


async def test_a_reported_key_is_ended_with_its_grants_and_tokens_at_once(server, http, github):
    key = await server.create_key()
    pair = await server.exchange(key)

    answer = await github.report(http, key)

    assert (answer.status_code, answer.content) == (200, b"")
    assert await told(server) == [
        ("key.leaked", key_id_of(key), {"reported_by": "github", "url": URL}),
        ("key.revoked", key_id_of(key), {"reason": "leaked"}),
    ]
    bearer = {"authorization": f"Bearer {pair.access_token.decode()}"}
    assert (await http.get("/auth/verify", headers=bearer)).status_code == 401


async def test_notify_tells_and_ends_nothing(start, github):
    server = await start(github_leaks="notify", github_leak_keys=str(github.file))
    key = await server.create_key()

    await github.report(server.client(), key)

    assert [event for event, *_ in await told(server)] == ["key.leaked"]
    assert await state(server, key_id_of(key)) is None


@pytest.mark.parametrize("mode", ["notify", "revoke"])
async def test_a_report_that_comes_again_changes_nothing(start, github, mode):
    server = await start(github_leaks=mode, github_leak_keys=str(github.file))
    key = await server.create_key()

    for _ in range(3):
        assert (await github.report(server.client(), key, key)).status_code == 200

    assert [event for event, *_ in await told(server)].count("key.leaked") == 1


async def test_a_key_that_was_only_told_of_is_ended_by_the_next_report_if_that_is_set_by_then(start, github, tmp_path):
    settings = {"github_leak_keys": str(github.file), "data": str(tmp_path / "data"), "database_url": None}
    server = await start(github_leaks="notify", **settings)
    key = await server.create_key()
    await github.report(server.client(), key)
    await server.app.stop()

    server = await start(github_leaks="revoke", **settings)
    await github.report(server.client(), key)

    assert [event for event, *_ in await told(server)] == ["key.leaked", "key.revoked"]


async def test_a_line_of_the_log_names_the_key_and_the_place_and_no_key_is_anywhere(server, http, github, caplog):
    caplog.set_level(logging.WARNING, "hourpass")
    key = await server.create_key()

    answer = await github.report(http, key, nobodys_key(), url=f"{URL}?key={key}")

    (line,) = [record for record in caplog.records if record.msg == "an API key has leaked"]
    assert (line.key_id, line.url, line.revoked) == (key_id_of(key), "", True)
    shown = str([vars(record) for record in caplog.records]) + str(await told(server)) + str(answer.headers)
    assert key[-32:] not in shown
    assert nobodys_key()[-32:] not in shown


@pytest.mark.parametrize("url", [None, "", "x" * 501, "https://x.test/\n"])
async def test_a_place_that_cannot_be_kept_is_left_out(server, http, github, url):
    key = await server.create_key()

    await github.report(http, key, url=url)

    assert (await told(server))[0][2]["url"] == ""


async def test_an_imported_key_is_found_by_its_text(server, http, github):
    await import_key(server)

    await github.report(http, TEXT)

    assert await state(server, "imported0001") == "leaked"


async def test_a_disabled_key_is_ended_too_and_an_ended_one_is_not_told_of(server, http, github):
    disabled, ended = await server.create_key(), await server.create_key()
    key_id = key_id_of(disabled)
    change = {"disabled_at": server.clock()}
    await server.app.issuer.ledger.run(lambda store: store.update_key(store.key(key_id)._replace(**change)))
    await server.revoke_key(ended)

    await github.report(http, disabled, ended)

    assert await state(server, key_id) == "leaked"
    assert [key_id for event, key_id, _ in await told(server) if event == "key.leaked"] == [key_id]


async def test_made_up_keys_end_nothing_and_the_answer_is_the_same(server, http, github):
    key = await server.create_key()

    strange = await github.report(http, other_secret(key), nobodys_key(), key_id_of(key), "", "é")
    ours = await github.report(http, key)

    assert (strange.status_code, strange.content, strange.headers) == (200, b"", ours.headers)
    assert [key_id for _, key_id, _ in await told(server)] == [key_id_of(key)] * 2


FORGERIES = {
    "no headers": lambda github, body: {},
    "no signature": lambda github, body: {"Github-Public-Key-Identifier": github.identifier},
    "an unknown key": lambda github, body: {**github.signed(body), "Github-Public-Key-Identifier": "other"},
    "another body": lambda github, body: github.signed(body + b" "),
    "not base64": lambda github, body: {**github.signed(body), "Github-Public-Key-Signature": "!!!"},
    "not a signature": lambda github, body: {**github.signed(body), "Github-Public-Key-Signature": "AAAA"},
    "not ASCII": lambda github, body: {**github.signed(body), "Github-Public-Key-Signature": "é".encode()},
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
async def test_a_report_that_github_did_not_sign_ends_nothing(server, http, github, forged):
    key = await server.create_key()
    body = json.dumps([{"token": key, "type": "hp", "url": URL}]).encode()

    answer = await http.post(ROUTE, content=body, headers=forged(github, body))

    assert answer.status_code == 400
    assert await told(server) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"type":"x"}]', b'[{"token":1}]', b"[" * 10_000, b"\xff"])
async def test_a_signed_body_that_is_not_a_report_is_refused(server, http, github, body):
    answer = await http.post(ROUTE, content=body, headers=github.signed(body))

    assert answer.status_code == 400
    assert answer.json()["title"] == "The payload is invalid."


async def test_many_findings_come_in_one_report_and_a_larger_one_is_refused(server, http, github):
    key = await server.create_key()

    many = await github.report(http, *[nobodys_key()] * 600, key)
    assert (many.status_code, await state(server, key_id_of(key))) == (200, "leaked")
    assert (await github.report(http, *[nobodys_key()] * 1_000)).status_code == 413


async def test_reports_are_throttled_by_address(start, github):
    server = await start(github_leaks="revoke", github_leak_keys=str(github.file), exchange_limit=2)
    http = server.client("203.0.113.5")
    answers = [await http.post(ROUTE, content=b"[]") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert "retry-after" in answers[-1].headers
    assert (await github.report(server.client("203.0.113.6"), "x")).status_code == 200


async def test_a_key_that_github_changed_is_believed_once_it_is_in_the_file(server, http, github):
    github.change_key("second")
    key = await server.create_key()
    assert (await github.report(http, key)).status_code == 400

    github.file.write_text("half")
    assert (await github.report(http, key)).status_code == 400
    github.publish()

    assert (await github.report(http, key)).status_code == 200
    assert await state(server, key_id_of(key)) == "leaked"


async def test_the_route_is_off_by_default(start, github):
    http = (await start()).client()

    assert (await github.report(http, nobodys_key())).status_code == 404
    assert (await http.post(ROUTE, content=b"x" * 9_000)).status_code in (404, 413)


async def test_githubs_own_example_is_verified(tmp_path):
    """The sample of docs.github.com, "Secret scanning partner program": key, body and signature are GitHub's."""
    pem = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\n"
        "kCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n"
        "-----END PUBLIC KEY-----\n"
    )
    identifier = "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a"
    body = b'[{"token":"some_token","type":"some_type","url":"some_url"}]'
    signature = "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc="
    file = tmp_path / "github.json"
    document = {"public_keys": [{"key_identifier": identifier, "key": pem, "is_current": False}]}
    file.write_text(json.dumps(document))

    assert GithubKeys(file).verify(identifier, signature, body)
    assert not GithubKeys(file).verify(identifier, signature, body + b"\n")


@pytest.mark.parametrize("content", [None, "", "{}", '{"public_keys":[]}', '{"public_keys":[{"key":"x"}]}', "bad key"])
async def test_a_file_without_a_key_of_githubs_is_an_error_at_the_start(tmp_path, content):
    file = tmp_path / "github.json"
    if content == "bad key":
        ed = ed25519.Ed25519PrivateKey.generate().public_key()
        pem = ed.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        keys = [{"key_identifier": "a", "key": "nonsense"}, {"key_identifier": "b", "key": pem}]
        content = json.dumps({"public_keys": keys})
    if content is not None:
        file.write_text(content)

    settings = Settings(data=str(tmp_path), github_leaks="notify", github_leak_keys=str(file))
    with pytest.raises(ConfigurationError, match="github_leak_keys"):
        await create_app(settings, environ={}).start()


async def test_a_file_that_others_can_write_is_refused(github):
    os.chmod(github.file, 0o666)  # noqa: PTH101

    with pytest.raises(ConfigurationError, match="others can write"):
        GithubKeys(github.file)


async def test_the_route_cannot_be_on_without_the_file(tmp_path):
    with pytest.raises(ConfigurationError, match="github_leak_keys"):
        load({"github_leaks": "revoke", "data": str(tmp_path)}, {}, None)
    assert Settings(data="x").github_leaks == "off"
