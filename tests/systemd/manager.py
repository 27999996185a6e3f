"""A real systemd of the test's own, as process 1 of its own namespaces: nothing that it does is seen outside.

It has its own files in /etc, /opt, /run, /tmp, /usr/local and /var, its own users and its own network. It needs root on
Linux.
"""

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net")

BOOT = """
set -e
echo $$ > "$1/cgroup.procs"
exec unshare --fork --mount-proc {namespaces} bash -c '
set -e
mount --make-rprivate /
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
for folder in etc opt usr/local var/lib var/log; do
    mkdir -p "/run/over/$folder/upper" "/run/over/$folder/work"
    mount -t overlay overlay "/$folder" \\
        -o "lowerdir=/$folder,upperdir=/run/over/$folder/upper,workdir=/run/over/$folder/work"
done
mkdir -p /opt/hourpass/python /opt/hourpass/packages /opt/hourpass/src /opt/hourpass/repository
mount --bind "$1" /opt/hourpass/python
mount --bind "$2" /opt/hourpass/packages
mount --bind "$3" /opt/hourpass/repository
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/system /run/systemd/journald.conf.d
printf "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=off\n" > /run/systemd/journald.conf.d/test.conf
printf "[Unit]\\nDescription=test\\n" > /run/systemd/system/test.target
exec env -i container=test {path} "$4" --system --unit=test.target --log-target=console --log-level=notice
' boot "$2" "$3" "$4" "$5"
"""

COMMAND = f"""\
#!/bin/sh
export PYTHONPATH=/opt/hourpass/repository/src:/opt/hourpass/packages PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH=/opt/hourpass/python/lib
exec /opt/hourpass/python/bin/python{sys.version_info.major}.{sys.version_info.minor} \
    -c 'import sys; from hourpass.cli import main; sys.exit(main())' "$@"
"""
"""The command for every user: Python and our environment may lie in a home, which the unit does not see."""


class Machine:
    """Scripts run in it with `run`, as root. The repository is at /opt/hourpass/repository."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "systemd.log"
        unified = Path("/sys/fs/cgroup/unified")
        self._group = (unified if unified.is_dir() else unified.parent) / f"hourpass-test-{os.getpid()}"

    def start(self) -> "Machine":
        self._group.mkdir()
        boot = BOOT.format(namespaces=" ".join(NAMESPACES), path=PATH)
        given = (self._group, sys.base_prefix, sysconfig.get_path("purelib"), ROOT, SYSTEMD)
        with self._log.open("wb") as log:
            self._outer = subprocess.Popen(["bash", "-c", boot, "boot", *map(str, given)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._outer.poll() is None:
            children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
            if children:
                self._init = int(children[0])
                if self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                    self.run("cat > /usr/local/bin/hourpass; chmod 755 /usr/local/bin/hourpass", given=COMMAND)
                    self.run("systemctl start systemd-journald dbus")
                    return self
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"systemd did not start: {self._log.read_text()[-2000:]}")

    def run(self, script: str, *, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a script, as root. `given` is its standard input."""
        done = subprocess.run(
            ["nsenter", "--target", str(self._init), *NAMESPACES, "env", "-i", PATH, "bash", "-ec", script],
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{script!r} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file, and make its folder."""
        self.run(f"mkdir -p $(dirname {path}); cat > {path}", given=text)

    def stop(self) -> None:
        if self._outer.poll() is None:
            os.kill(self._init, signal.SIGKILL)
            self._outer.wait(20)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._group.exists():
            for group in sorted((path for path in self._group.rglob("*") if path.is_dir()), reverse=True):
                group.rmdir()
            try:
                self._group.rmdir()
            except OSError:
                time.sleep(0.05)
