"""The time from the revoke call's 200 to the refusal at every verifier. Each is a process with the public `Verifier`.

`revoke_to_refuse` measures it with any running server, and the test uses it, too. `latency` is the bench's row.
`python -m bench.latency ISSUER` is one of the verifiers: it reads a token on each line, and prints what happened to it.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERIFIERS = 4
PATIENCE = 10.0
"""Seconds. If a verifier still accepts after this time, the measurement fails."""


def latency(work, *, revocations=200):
    """The figures with a server of the bench. All processes share its cores, because there are only two."""
    from bench.servers import Hourpass

    server = Hourpass("latency", work / "latency")
    try:
        pairs = [server.exchange_once() for _ in range(revocations + 1)]
        return revoke_to_refuse(f"http://127.0.0.1:{server.port}", pairs)
    finally:
        server.stop()


def revoke_to_refuse(url, pairs, *, verifiers=VERIFIERS, seconds=60):
    """Revoke all token pairs but the first, which the load uses: in turn a single token and a whole grant.

    Returns the milliseconds from each 200 until the last of the verifiers and `/auth/verify` refuses. Each token was
    accepted everywhere just before. After `seconds`, no new one is begun.
    """
    import httpx2

    end = time.monotonic() + seconds
    steady, *pairs = pairs
    with contextlib.ExitStack() as running:
        http = running.enter_context(httpx2.Client(base_url=url, timeout=10, trust_env=False))
        watchers = [running.enter_context(Watcher(url, steady["access_token"])) for _ in range(verifiers)]
        load = running.enter_context(forward_auth_load(url, steady["access_token"]))
        taken = []
        for number, pair in enumerate(pairs):
            if time.monotonic() > end:
                break
            # A random pause, never in step with the verifiers' pause between two polls.
            time.sleep(number * 37 % 100 / 1_000)
            taken.append(one(http, watchers, pair, "access_token" if number % 2 else "refresh_token"))
        if load.poll() is not None:
            raise RuntimeError("the load ended before the measurement")
        verified = sum(watcher.finish() for watcher in watchers)
    taken.sort()
    return {
        "revocations": len(taken),
        "verifiers": verifiers,
        "verified": verified,
        "p50_ms": statistics.median(taken),
        "p99_ms": taken[int(len(taken) * 0.99)],
        "max_ms": taken[-1],
    }


def one(http, watchers, pair, revoked):
    """Milliseconds from the 200 to the last refusal."""
    headers = {"authorization": f"Bearer {pair['access_token']}"}
    http.get("/auth/verify", headers=headers).raise_for_status()
    for watcher in watchers:
        watcher.watch(pair["access_token"])
    for watcher in watchers:
        watcher.accepted()
    http.post("/oauth/revoke", data={"token": pair[revoked]}).raise_for_status()
    began = time.monotonic_ns()
    while http.get("/auth/verify", headers=headers).status_code != 401:
        if time.monotonic_ns() - began > PATIENCE * 1e9:
            raise RuntimeError("forward auth goes on accepting")
    refused = [time.monotonic_ns(), *(watcher.refused() for watcher in watchers)]
    return max(0, *(at - began for at in refused)) / 1e6


class Watcher:
    """A process that verifies the steady token all the time, and the watched token until it is refused."""

    def __init__(self, url, token):
        command = [sys.executable, "-m", "bench.latency", url]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.watch(token)
        self.accepted()

    def watch(self, token):
        self._process.stdin.write(token + "\n")

    def accepted(self):
        if (said := self._process.stdout.readline()) != "accepted\n":
            raise RuntimeError(f"a verifier said {said!r} of a good token")

    def refused(self):
        """The instant of the refusal, on the clock that all processes share."""
        return int(self._process.stdout.readline())

    def finish(self):
        """How many times the steady token was accepted. It was never refused."""
        said, _ = self._process.communicate(timeout=10)
        if self._process.returncode:
            raise RuntimeError("a verifier refused a good token, or went on accepting a revoked one")
        return int(said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def forward_auth_load(url, token):
    """The bench's load generator on `/auth/verify`, for as long as the measurement takes."""
    spec = {
        "port": int(url.rpartition(":")[2]),
        "seconds": 300,
        "connections": 4,
        "method": "GET",
        "path": "/auth/verify",
        "headers": {"authorization": f"Bearer {token}"},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(spec, file)
        file.flush()
        process = subprocess.Popen([sys.executable, "-m", "bench.load", file.name], cwd=ROOT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def watch(url):
    """One verifier. The first line is the steady token. For each further line it prints when that token was refused."""
    from hourpass.core.errors import HourpassError, InvalidToken
    from hourpass.verifier import Verifier

    failed, ended, verified = [], threading.Event(), 0

    def steadily(token):
        nonlocal verified
        try:
            while not ended.wait(0.0005):
                verifier.verify(token)
                verified += 1
        except HourpassError as error:
            failed.append(error)

    with Verifier(issuer=url, audience=url) as verifier:
        steady = sys.stdin.readline().strip()
        verifier.verify(steady)
        thread = threading.Thread(target=steadily, args=(steady,))
        thread.start()
        print("accepted", flush=True)
        for line in sys.stdin:
            token, deadline = line.strip(), time.monotonic() + PATIENCE
            verifier.verify(token)
            print("accepted", flush=True)
            try:
                while time.monotonic() < deadline:
                    verifier.verify(token)
                    time.sleep(0.001)
                failed.append(TimeoutError())
            except InvalidToken as error:
                failed += [] if error.problem == "revoked" else [error]
            print(time.monotonic_ns(), flush=True)
        ended.set()
        thread.join()
    print(verified)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1]))
