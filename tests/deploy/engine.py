"""A container engine with images and volumes of its own: buildah builds, podman runs. Nothing of it outlives the test.

No registry is asked. What the Containerfile builds on is a Debian made of Debian's packages by mmdebstrap.
"""

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.debian import program
from tests.deploy.files import CONTAINERFILE, ROOT

BASE = "localhost/debian:trixie-slim"

# What Debian leaves out of its slim images.
SLIM = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")

CLONE_NEWNET = 0x4000_0000

LIMIT = 4_096
"""Descriptors and processes of a container."""


class Engine:
    """Runs buildah and podman on a folder that `close` removes."""

    def __init__(self) -> None:
        if os.getuid():
            pytest.skip("needs root, to build and run a container")
        for name in ("mmdebstrap", "buildah", "podman", "runc"):
            program(name)
        self.folder = Path(tempfile.mkdtemp(prefix="hp-image-"))
        drivers = Path("/proc/filesystems").read_text()
        storage = ["--root", self.folder / "storage", "--runroot", self.folder / "run"]
        self._storage = [*storage, "--storage-driver", "overlay" if "\toverlay\n" in drivers else "vfs"]

    def run(self, *command: object, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done

    def buildah(self, *arguments: object) -> str:
        return self.run("buildah", *self._storage, *arguments, cwd=ROOT).stdout.strip()

    def podman(self, *arguments: object, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        engine = ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]
        return self.run("podman", *self._storage, *engine, *arguments, check=check, **options)

    def make_base(self) -> None:
        """An image like Debian's slim one. It has this machine's certificates, to be found by pip."""
        tar = self.folder / "base.tar"
        left_out = [f"--dpkgopt=path-exclude={path}" for path in SLIM]
        self.run("mmdebstrap", "--quiet", "--variant=minbase", *left_out, "trixie", tar)
        container = self.buildah("from", "scratch")
        self.buildah("add", container, tar, "/")
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        if certificates.exists():
            self.buildah("add", "--chmod", "0644", container, certificates, "/etc/ssl/local.crt")
        self.buildah("commit", "--rm", container, BASE)
        tar.unlink()

    def build(self, image: str) -> None:
        """The deployed Containerfile, step by step, with the index and the certificates that this machine uses."""
        settings = self.folder / "pip.conf"
        settings.write_text("[global]\ncert = /etc/ssl/local.crt\n" + index_of_this_machine())
        given = ["--build-arg", f"BASE={BASE}", "--secret", f"id=pip,src={settings}"]
        way = ["--isolation", "chroot", "--format", "docker", "--layers=false"]
        self.buildah("bud", *way, *given, "--tag", image, "--file", CONTAINERFILE, ".")

    def close(self) -> None:
        self.podman("rm", "--force", "--all", "--time", "0", check=False)
        for _ in range(2):  # what is still mounted is not removed
            mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
            for path in sorted((path for path in mounted if path.startswith(str(self.folder))), reverse=True):
                self.run("umount", "--lazy", path, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def index_of_this_machine() -> str:
    """The line of pip's configuration that names a package index, if this machine's does."""
    configured = subprocess.run(
        ["pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    return f"index-url = {configured.stdout.strip()}\n" if configured.returncode == 0 else ""


class Container:
    """A running container without any network but its own loopback, with a root that nobody can write."""

    def __init__(
        self, engine: Engine, image: str, user: str, volumes: dict[str, str], environment: dict[str, str]
    ) -> None:
        self._engine = engine
        # The engine's own limits may be above those that the root of this machine may set.
        ulimits = [f"--ulimit={name}={LIMIT}:{LIMIT}" for name in ("nofile", "nproc")]
        strict = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        mounted = [f"--volume={source}:{target}" for source, target in volumes.items()]
        command = [
            "run",
            "--detach",
            "--network",
            "none",
            "--user",
            user,
            *strict,
            *ulimits,
            *variables,
            *mounted,
            image,
        ]
        self.id = engine.podman(*command).stdout.strip()

    def exec(self, *command: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        return self._engine.podman(
            "exec", *(["-i"] if "input" in options else []), self.id, *command, check=check, **options
        )

    def inside(self, call: Callable[[], object]) -> object:
        """Call a function in a thread that is in the container's network."""
        with ThreadPoolExecutor(1, initializer=partial(enter_network, self.state()["Pid"])) as thread:
            return thread.submit(call).result()

    def state(self) -> dict:
        return json.loads(self._engine.podman("inspect", self.id).stdout)[0]["State"]

    def healthy(self) -> bool:
        return self._engine.podman("healthcheck", "run", self.id, check=False).returncode == 0

    def log(self) -> str:
        done = self._engine.podman("logs", self.id)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """The image's stop signal, and the exit code."""
        self._engine.podman("stop", "--time", "30", self.id)
        return self.state()["ExitCode"]

    def start(self) -> None:
        self._engine.podman("start", self.id)


def enter_network(pid: int) -> None:
    """Move this thread into the network of a process."""
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
