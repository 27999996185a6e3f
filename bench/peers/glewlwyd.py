"""Peer: glewlwyd, an OAuth server in C, if it is installed. It has its own database in WAL mode, ES256 and rotation.

Everything except its configuration file is set up over its REST API, as an administrator would do it.
"""

import http.cookiejar
import json
import os
import shutil
import sqlite3
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from bench.peers.contenders import FORM, Exchanging
from bench.servers import Server, free_port

CONFIGURATION = """
port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}/"
login_url="login.html"
api_prefix="api"
log_mode="file"
log_level="ERROR"
log_file="{folder}/log"
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3"; path = "{folder}/glewlwyd.db"; }};
"""

CLIENT = {"client_id": "bench", "client_secret": "a-secret-of-the-bench-of-forty-chars-only"}
USER = {"username": "bench", "password": "a password of the bench"}


def glewlwyd():
    """The binary, None if it is not installed."""
    return shutil.which("glewlwyd")


class Glewlwyd(Exchanging, Server):
    """One process, as Debian builds it."""

    def __init__(self, folder):
        folder.mkdir()
        prefix, port = Path(glewlwyd()).parents[1], free_port()
        database = sqlite3.connect(folder / "glewlwyd.db")
        database.executescript((prefix / "share/dbconfig-common/data/glewlwyd/install/sqlite3").read_text())
        database.execute("pragma journal_mode=wal")
        database.close()
        config = folder / "glewlwyd.conf"
        config.write_text(CONFIGURATION.format(port=port, folder=folder, modules=prefix / "lib/glewlwyd"))
        super().__init__("glewlwyd", [glewlwyd(), f"--config-file={config}"], port, env=os.environ)
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._admin = urllib.request.build_opener(cookies)
        self._set_up()
        self.tokens = folder / "fresh-tokens"
        self.exchange_request = {
            "path": "/api/oidc/token",
            "headers": FORM,
            "body": urlencode({"grant_type": "client_credentials", "scope": "videos", **CLIENT}),
            "expected": '"access_token":"ey',
        }
        self.refresh_request = {
            "path": "/api/oidc/token",
            "headers": FORM,
            "template": urlencode({"grant_type": "refresh_token", **CLIENT}) + "&refresh_token=%s",
            "field": "refresh_token",
            "expected": '"access_token":"ey',
        }

    def fresh_tokens(self):
        body = urlencode({"grant_type": "password", "scope": "videos", **USER, **CLIENT})
        return self.exchanged(100, "refresh_token", body)

    def _post(self, path, content):
        body, headers = json.dumps(content).encode(), {"content-type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/api/{path}"
        self._admin.open(urllib.request.Request(url, body, headers), timeout=20).close()

    def _set_up(self):
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self._post("auth/", {"username": "admin", "password": "password"})  # as its first database has it
        scope = {"name": "videos", "display_name": "videos", "description": "videos"}
        self._post("scope/", {**scope, "password_required": True, "password_max_age": 0, "scheme": {}})
        plugin = {"module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": True}
        self._post("mod/plugin/", {**plugin, "parameters": {**PARAMETERS, "key": private, "cert": public}})
        client = {"client_id": CLIENT["client_id"], "client_secret": CLIENT["client_secret"], "name": "bench"}
        client |= {"confidential": True, "enabled": True, "password": CLIENT["client_secret"], "scope": ["videos"]}
        client["authorization_type"] = ["client_credentials", "password", "refresh_token", "code"]
        client["redirect_uri"] = ["https://client.example.com/"]
        self._post("client/", {**client, "token_endpoint_auth_method": ["client_secret_post"]})
        self._post("user/", {**USER, "name": "bench", "enabled": True, "scope": ["videos"]})


PARAMETERS = {
    "iss": "https://auth.example.com",
    "jwt-type": "ecdsa",
    "jwt-key-size": "256",
    "access-token-duration": 3600,
    "refresh-token-duration": 2592000,
    "code-duration": 600,
    "refresh-token-rolling": True,
    "refresh-token-one-use": "always",
    "allow-non-oidc": True,
    "auth-type-code-enabled": True,
    "auth-type-token-enabled": False,
    "auth-type-id-token-enabled": True,
    "auth-type-none-enabled": False,
    "auth-type-password-enabled": True,
    "auth-type-client-enabled": True,
    "auth-type-refresh-enabled": True,
    "subject-type": "public",
    "scope": [],
    "additional-parameters": [],
    "claims": [],
    "address-claim": {"type": "no"},
    "email-claim": "no",
    "phone-claim": "no",
    "name-claim": "no",
    "jwks-show": True,
    "jwks-x5c": [],
    "request-parameter-allow": False,
    "secret-type": "pairwise",
    "pkce-allowed": False,
}
