"""No key and no token is in the log, in another file of the data folder, or in what a command says afterwards.

The server is driven through what succeeds and through every refusal, with secrets in the right and in the wrong places.
"""

import base64
import contextlib
import socket
from urllib.parse import quote

import apsw
import httpx2
from tests.conftest import run_command
from tests.e2e.conftest import PLAIN, claims_of, exchange, refresh, verify
from tests.server.conftest import nobodys_key, other_secret


class Planted:
    """Every secret that somebody sent or was sent, and each of the parts by which it would be known again."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}

    def key(self, name: str, api_key: str) -> str:
        self.texts |= {name: api_key.encode(), f"{name}'s secret half": api_key.rpartition("_")[2].encode()}
        return api_key

    def token(self, name: str, token: str) -> str:
        _, payload, signature = token.split(".")
        self.texts |= {name: token.encode(), f"{name}'s payload": payload.encode()}
        self.texts |= {f"{name}'s signature": signature.encode()}
        return token

    def pair(self, name: str, answer: httpx2.Response) -> dict:
        pair = answer.raise_for_status().json()
        self.token(f"{name} access token", pair["access_token"])
        self.token(f"{name} refresh token", pair["refresh_token"])
        return pair

    def found_in(self, data: bytes) -> list[str]:
        return [name for name, text in self.texts.items() if text in data]


def in_wrong_places(server, secret: str) -> int:
    """As a confused client, a wrong proxy file or a curious stranger sends it. Returns how many were answered."""
    basic = base64.b64encode(f"{secret}:{secret}".encode()).decode()
    requests = [
        ("POST", "/auth/refresh", {"content": secret * 1_000}),
        ("GET", "/auth/verify", {"headers": {"x-large": secret * 200}}),
    ]
    for path in ("/auth/refresh", "/auth/api-key", "/auth/verify", "/oauth/token", "/nowhere"):
        requests += [
            ("GET", f"{path}/{secret}", {}),
            ("GET", path, {"params": {"token": secret, "scope": secret}}),
            ("POST", path, {"content": secret}),
            ("POST", path, {"content": '{"apiKey": "' + secret}),
            ("POST", path, {"json": {"apiKey": [secret], "refreshToken": {secret: secret}, secret: 1}}),
            (
                "POST",
                path,
                {"data": {"grant_type": secret, "token": secret, "client_id": secret, "client_secret": secret}},
            ),
            (secret[:40].replace("_", "-"), path, {}),
            ("GET", path, {"headers": {"authorization": f"Basic {basic}"}}),
        ]
        for scheme in ("Bearer", "Basic", "bearer,", "Digest", secret):
            requests.append(("GET", path, {"headers": {"authorization": f"{scheme} {secret}"}}))
        for header in ("cookie", "referer", "user-agent", "origin", "x-api-key", "x-forwarded-for", "content-type"):
            requests.append(("POST", path, {"json": {"refreshToken": secret}, "headers": {header: secret}}))
    answered = 0
    with httpx2.Client(base_url=server.url, **PLAIN) as http:
        for method, path, members in requests:
            # A server may hang up on what is not HTTP, or on too much of it.
            with contextlib.suppress(httpx2.TransportError):
                http.request(method, path, **members)
                answered += 1
    return answered


def broken_http(server, secret: str) -> None:
    """Requests that no HTTP client would send."""
    for request in (
        f"GET /{secret} {secret}\r\n\r\n",
        f"{secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nhost: x\r\n{secret}\r\n\r\n",
        f"POST /auth/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: {secret}\r\n\r\n{secret}",
    ):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            connection.sendall(request.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass


def in_storage_trouble(server, http: httpx2.Client, pair: dict, api_key: str) -> None:
    """503 is the answer that gets logged: under a lock, and if a table is not as it should be."""
    other = apsw.Connection(str(server.data / "hourpass.db"))
    other.execute("begin immediate")
    token = pair["refresh_token"]
    asked = http.post(f"/auth/refresh?token={token}", json={"refreshToken": token}, headers={"referer": token})
    other.execute("rollback")
    other.execute("alter table grants rename to elsewhere")
    answers = [
        asked,
        http.post(f"/auth/api-key?key={api_key}", json={"apiKey": api_key}),
        http.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": token, "scope": ""}),
        http.post("/oauth/revoke", data={"token": token}),
        http.post("/oauth/introspect", data={"token": token, "client_id": api_key}),
    ]
    other.execute("alter table elsewhere rename to grants")
    other.close()
    assert [answer.status_code for answer in answers] == [503] * 5


def test_nothing_that_was_sent_or_handed_out_is_written_anywhere(serve):
    server, planted = serve(retry_window=0, exchange_limit=0), Planted()
    with httpx2.Client(base_url=server.url, **PLAIN) as http:
        made = server.create_key("--scope", "introspect videos.read")
        api_key = planted.key("good key", made["api_key"])
        guesses = [planted.key("wrong key", other_secret(api_key)), planted.key("nobody's key", nobodys_key())]
        pair = planted.pair("first", exchange(server, api_key))
        second = planted.pair("second", refresh(server, pair["refresh_token"]))
        assert verify(server, second["access_token"]) == 204
        assert [exchange(server, guess).status_code for guess in guesses] == [400, 400]
        client = {"client_id": made["key_id"], "client_secret": api_key}
        form = {"grant_type": "client_credentials", "scope": "videos.read"}
        third = planted.pair("third", http.post("/oauth/token", data={**client, **form}))
        http.post("/oauth/introspect", data={**client, "token": third["refresh_token"]}).raise_for_status()
        in_storage_trouble(server, http, third, api_key)
        http.post("/oauth/revoke", data={"token": third["access_token"]}).raise_for_status()
        assert refresh(server, pair["refresh_token"]).json()["reason"] == "replayed"

        head, payload, signature = second["access_token"].split(".")
        tampered = planted.token("tampered token", f"{head}.{payload}.{signature[::-1]}")
        foreign = planted.token("foreign token", f"eyJhbGciOiJub25lIn0.{payload[::-1]}.{quote(signature[:20])}")
        for secret in (api_key, *guesses, pair["refresh_token"], second["access_token"], tampered, foreign):
            assert in_wrong_places(server, secret) > 80
            broken_http(server, secret)
    said = [
        server.command("keys", "list", "--json"),
        server.command("keys", "show", made["key_id"]),
        server.command("grants", "list", "--all", "--json"),
        server.command("grants", "revoke", claims_of(third["access_token"])["sid"]),
        server.command("audit", "--json"),
        server.command("config", "show", "--json"),
        run_command("tokens", "inspect", "-", "--data", str(server.data), input=tampered, check=False),
        server.command("keys", "revoke", made["key_id"]),
    ]
    assert server.stop() == 0

    assert planted.found_in(str(pair).encode())  # the search finds what is there
    log = server.log.read_bytes()
    assert b"listening" in log
    assert b'"unavailable"' in log  # the first line, then one a minute with its count
    assert planted.found_in(log) == []
    for result in said:
        assert planted.found_in((result.stdout + result.stderr).encode()) == [], result.args
    files = {file.name: file.read_bytes() for file in server.data.iterdir()}
    for name, data in files.items():
        assert planted.found_in(data) == [], name
    master_key = files.pop("master.key").strip()
    for data in (log, *files.values()):
        assert master_key not in data
        assert base64.b64decode(master_key) not in data
