"""A resource server's process: `python -m tests.verifier.verifier_process ISSUER`, a JSON command a line.

The public `Verifier` on clocks that the test moves. Tokens that came are verified over and over, until the tally is
asked for. Knows nothing of rotations.
"""

import json
import sys
import threading
from collections import Counter, deque

from hourpass.clocks import boot_clock, wall_clock
from hourpass.core.errors import HourpassError, InvalidToken
from hourpass.verifier import Verifier, fail_open


class Process:
    """`wall` and `timer` are how far the clocks were moved, in milliseconds."""

    def __init__(self, issuer: str) -> None:
        self.wall = self.timer = 0
        self.accepted: Counter[str] = Counter()
        self.refused: list[str] = []
        self.ended = threading.Event()
        self.recent: deque[str] = deque(maxlen=200)
        # A clock that jumps looks like a feed that was silent for as long. That is another test's business, so the feed
        # may be old here. Its short budget makes for short polls, after each of which the keys are looked at, too.
        self.verifier = Verifier(
            issuer=issuer,
            audience=issuer,
            staleness=fail_open(until=86_400, budget=2),
            clock=lambda: wall_clock() + self.wall,
            timer=lambda: boot_clock() + self.timer,
        )
        self.thread = threading.Thread(target=self.churn)
        self.thread.start()

    def churn(self) -> None:
        while not self.ended.wait(0.002):
            for token in list(self.recent):
                self.count(token)

    def count(self, token: str) -> None:
        try:
            self.verifier.verify(token)
            self.accepted[token.partition(".")[0]] += 1
        except HourpassError as error:
            self.refused.append(f"{type(error).__name__}: {error.detail}")

    def take(self, token: str) -> None:
        self.count(token)
        self.recent.append(token)

    def move(self, wall: int, timer: int) -> None:
        self.wall += wall
        self.timer += timer

    def keys_known(self) -> int:
        return self.verifier.status().keys_known

    def judge(self, token: str) -> str:
        try:
            self.verifier.verify(token)
        except InvalidToken as error:
            return error.problem
        return "accepted"

    def tally(self) -> dict[str, object]:
        """The verdicts on the tokens that came, by their header segment."""
        self.ended.set()
        self.thread.join()
        return {"accepted": self.accepted, "refused": self.refused}


def main() -> None:
    process = Process(sys.argv[1])
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(process, name)(**arguments)), flush=True)
    process.tally()
    process.verifier.close()


if __name__ == "__main__":
    main()
