"""The contenders, and how each one is run: in the best case that we know of. Every answer must hold a token.

A contender that exchanges and refreshes says with `exchange_request` and `refresh_request` what the load generator
sends, and brings refresh tokens that nobody used.
"""

import http.client
import json
import os
import random
import subprocess
from pathlib import Path
from urllib.parse import urlencode

from bench.grants import TOKENS, fill
from bench.peers.install import HERE, MODULES, PYTHON, haproxy, node
from bench.servers import HOURPASS, Hourpass, Server, free_port

FRESH = 150
"""How many refresh tokens one load has: more than connections, so that none waits for a token."""

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def answers(port, count, method, path, body, headers):
    """The bodies of so many requests, one after another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(count):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        yield content
    connection.close()


class Exchanging:
    """A contender that gives tokens for a key, and new ones for a refresh token."""

    def exchange(self, seconds, connections, **more):
        return self.load(seconds, connections, **self.exchange_request, **more)

    def refresh(self, seconds, connections, **more):
        self.tokens.write_text("\n".join(self.fresh_tokens()))
        return self.load(seconds, connections, tokens=self.tokens, **self.refresh_request, **more)

    def fresh_tokens(self):
        """Refresh tokens from as many exchanges."""
        return self.exchanged(FRESH, self.refresh_request["field"])

    def exchanged(self, count, field, body=None):
        """One member of each of so many answers. `body` replaces the body of the exchange."""
        request = self.exchange_request
        bodies = answers(self.port, count, "POST", request["path"], body or request["body"], request["headers"])
        return [json.loads(body)[field] for body in bodies]


class Ours(Exchanging, Hourpass):
    """`hourpass serve` as it comes, on SQLite or on PostgreSQL: every commit synced, ES256.

    It refreshes grants of its own, one after another, and continues after the last one of the load before. A grant that
    is refreshed too often in a minute answers with the same pair again, which would be too cheap. The peers rotate at
    every refresh.
    """

    def __init__(self, name, folder, *, grants=TOKENS, shuffled=False, **flags):
        super().__init__(name, folder, **flags)
        self.issuer = flags.get("issuer", f"http://127.0.0.1:{self.port}")
        tokens = fill(
            folder,
            self.key_id,
            grants,
            tokens=min(grants, TOKENS),
            issuer=self.issuer,
            database=flags.get("database"),
        )
        if shuffled:
            random.shuffle(tokens)
        self.tokens = folder / f"tokens-{self.port}"
        self.tokens.write_text("\n".join(tokens))
        self.exchange_request = {
            "path": "/auth/api-key",
            "headers": JSON,
            "body": json.dumps({"apiKey": self.api_key}),
            "expected": '"access_token":"',
        }
        self.refresh_request = {
            "path": "/auth/refresh",
            "headers": JSON,
            "field": "refresh_token",
            "expected": '"access_token":"',
        }

    def refresh(self, seconds, connections, **more):
        return self.load(seconds, connections, tokens=self.tokens, keep_tokens=True, **self.refresh_request, **more)

    def verify(self, seconds, connections, access_tokens):
        return judge(self, seconds, connections, "/auth/verify", access_tokens, expected="")


class SimpleJwt(Exchanging, Server):
    """Django REST framework under granian, one worker with one thread, which suits SQLite best."""

    def __init__(self, folder):
        folder.mkdir()
        database, api_key, port = folder / "db.sqlite3", "ak_live_" + "0" * 26, free_port()
        subprocess.run([PYTHON, HERE / "simplejwt_project.py", database, api_key], check=True)
        one = ["--workers", "1", "--blocking-threads", "1", "--no-ws", "--no-access-log", "--log-level", "warning"]
        command = [PYTHON, "-m", "granian", "simplejwt_project:application", "--interface", "wsgi", "--port", str(port)]
        environment = {**os.environ, "PEERS_DATABASE": str(database)}
        super().__init__("simplejwt", [*command, *one], port, cwd=HERE, env=environment, start_new_session=True)
        self.tokens = folder / "fresh-tokens"
        self.exchange_request = {
            "path": "/auth/api-key",
            "headers": JSON,
            "body": json.dumps({"apiKey": api_key}),
            "expected": '"access":"',
        }
        self.refresh_request = {
            "path": "/auth/refresh",
            "headers": JSON,
            "template": '{"refresh":"%s"}',
            "field": "refresh",
            "expected": '"access":"',
        }


CLIENT = {"client_id": "bench", "client_secret": "a-secret-of-the-bench-of-forty-chars-only"}


class OidcProvider(Exchanging, Server):
    """The pinned Node.js, production mode, one process."""

    def __init__(self, folder):
        folder.mkdir()
        port = free_port()
        environment = {**os.environ, "NODE_ENV": "production"}
        command = [node(), HERE / "oidc_provider.mjs", str(port), MODULES]
        super().__init__("oidc-provider", command, port, env=environment, start_new_session=True)
        self.tokens = folder / "fresh-tokens"
        self.exchange_request = {
            "path": "/token",
            "headers": FORM,
            "body": urlencode({"grant_type": "client_credentials", **CLIENT}),
            "expected": '"access_token":"ey',
        }
        self.refresh_request = {
            "path": "/token",
            "headers": FORM,
            "template": urlencode({"grant_type": "refresh_token", **CLIENT}) + "&refresh_token=%s",
            "field": "refresh_token",
            "expected": '"access_token":"ey',
        }

    def fresh_tokens(self):
        (body,) = answers(self.port, 1, "GET", "/fresh", None, {})
        return body.decode().split()


class FastApi(Server):
    """FastAPI on uvicorn with httptools and uvloop, one worker. `kind` is as in fastapi_api.py."""

    def __init__(self, kind, issuer):
        # Ours needs hourpass, which our own environment has. FastAPI and uvicorn have the same versions in both.
        python = PYTHON if kind == "pyjwt" else HOURPASS.with_name("python")
        port = free_port()
        super().__init__(f"FastAPI, {kind}", [python, HERE / "fastapi_api.py", str(port), kind, issuer], port)

    def verify(self, seconds, connections, access_tokens):
        return judge(self, seconds, connections, "/videos", access_tokens, expected='"active":true')


HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend api
    bind 127.0.0.1:{port}
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny unless {{ var(txn.token),jwt_header_query('$.alg') -m str ES256 }}
    http-request deny unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {issuer} }}
    http-request deny unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {issuer} }}
    http-request deny if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny unless {{ var(txn.token),jwt_verify("ES256","{key}") -m int 1 }}
    http-request return status 200 content-type application/json string '{{"active":true}}'
"""


class HaProxy(Server):
    """HAProxy that verifies each token by itself: signature, issuer, audience, expiry."""

    def __init__(self, folder, issuer, key):
        folder.mkdir()
        binary, libraries = haproxy()
        port, config, pem = free_port(), folder / "haproxy.cfg", folder / "key.pem"
        pem.write_bytes(key)
        config.write_text(HAPROXY.format(port=port, issuer=issuer, key=pem))
        super().__init__("HAProxy", [binary, "-db", "-f", config], port, env={**os.environ, **libraries})

    def verify(self, seconds, connections, access_tokens):
        return judge(self, seconds, connections, "/videos", access_tokens, expected='"active":true')


def judge(server, seconds, connections, path, access_tokens: Path, expected):
    """Requests, each with the next of many access tokens."""
    return server.load(
        seconds, connections, method="GET", path=path, access_tokens=str(access_tokens), expected=expected
    )
