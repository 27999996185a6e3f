"""A resource server's process that a test starves or freezes: `python -m tests.verifier.starved_process ISSUER BUDGET`.

A JSON command a line comes in, its answer goes out.
"""

import asyncio
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

from hourpass.core.errors import HourpassError
from hourpass.verifier import Verifier, fail_closed


class Process:
    def __init__(self, issuer: str, budget: float) -> None:
        self.loop = asyncio.new_event_loop()
        self.verifier = Verifier(issuer=issuer, audience="https://api.test", staleness=fail_closed(budget=budget))
        self.before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)}

    def verify(self, token: str) -> tuple[str, float]:
        """The verdict on the token, and how many seconds that took."""
        began = time.monotonic()
        try:
            said = self.verifier.verify(token).sub
        except HourpassError as error:
            said = f"{type(error).__name__}: {error.detail}"
        return said, time.monotonic() - began

    def verify_async(self, token: str) -> tuple[str, float]:
        """As `verify`, but the seconds are the longest for which the event loop stood still."""
        worst = 0.0

        async def main() -> str:
            nonlocal worst
            asking, before = asyncio.ensure_future(self.verifier.verify_async(token)), time.monotonic()
            while not asking.done():
                await asyncio.sleep(0.005)
                worst, before = max(worst, time.monotonic() - before), time.monotonic()
            try:
                return (await asking).sub
            except HourpassError as error:
                return f"{type(error).__name__}: {error.detail}"

        return self.loop.run_until_complete(main()), worst

    def take_descriptors(self) -> None:
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, self.before[resource.RLIMIT_NOFILE][1]))

    def take_threads(self) -> None:
        """A stack of half a gigabyte does not fit into what is left of the address space."""
        threading.stack_size(512 * 1024 * 1024)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 1024 * 1024, self.before[resource.RLIMIT_AS][1]))

    def give_back(self) -> None:
        threading.stack_size(0)
        for kind, limits in self.before.items():
            resource.setrlimit(kind, limits)

    def status(self) -> dict[str, object]:
        return self.verifier.status()._asdict()


def main() -> None:
    process = Process(sys.argv[1], float(sys.argv[2]))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(process, name)(*arguments)), flush=True)
    process.verifier.close()
    process.loop.close()


if __name__ == "__main__":
    main()
