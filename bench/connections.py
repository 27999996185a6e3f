"""What a client's connection costs: a refresh on a kept connection, on a new one, and through nginx with TLS.

Clients refresh once in 42 minutes, so each refresh comes on a new connection. `python -m bench.connections` prints only
this. `make bench` has it in its table.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from bench.grants import ISSUER, TOKENS, Refreshing
from bench.proxy import Nginx
from bench.servers import Hourpass, free_port
from bench.table import interleaved, least

CONFIGURATION = """
events {{ worker_connections 2048; }}
http {{
    access_log off;
    upstream hourpass {{ server 127.0.0.1:{hourpass}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_session_tickets off;
        location / {{ proxy_pass http://hourpass; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def connection_costs(work, *, seconds=2.0, rounds=6, clients=16):
    """CPU microseconds for each refresh, by kind of connection. For TLS they are those of nginx alone."""
    server = Hourpass("connections", work / "connections", issuer=ISSUER)
    port = free_port()
    settings = CONFIGURATION.format(hourpass=server.port, port=port, certificate=_certificate(work))
    proxy = Nginx("connections", work, port, settings)
    refreshing = Refreshing(server, TOKENS)

    def load(**more):
        return refreshing.load(seconds, clients, **more)

    figures = interleaved(
        rounds,
        {
            "kept": load,
            "own": lambda: load(reconnect=True),
            "TLS, kept": lambda: load(through=proxy, tls=True),
            "TLS, own": lambda: load(through=proxy, tls=True, reconnect=True),
        },
    )
    proxy.stop()
    server.stop()
    return {name: least(each, "cpu_us") for name, each in figures.items()}


def _certificate(work):
    """A self-signed certificate with a P-256 key, as public authorities issue them, in one file with its key."""
    key, certificate = work / "connections.key", work / "connections.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=bench", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(connection_costs(Path(folder)), indent=1))
