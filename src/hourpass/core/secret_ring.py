"""The life of a secret of the server: published -> in use -> kept -> gone.

A ring has the secrets of one kind. A new one is published before it is used, so that no node meets what it cannot know.
What an earlier one made stays good until nothing of it can be left. The states follow from instants (epoch
milliseconds), so no job switches them, and all nodes answer alike at any time.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from hourpass.core.policy import MINUTE

PUBLISH_AHEAD = MINUTE
"""A new secret is published this long before it is used: every node looks for one several times a second."""

SecretState = Literal["published", "in use", "kept", "gone"]


class ServerSecret(NamedTuple):
    """A secret of the server. The repr does not show it."""

    kid: str
    secret: bytes
    created_at: int = 0

    def __repr__(self) -> str:
        """Without the secret."""
        return f"ServerSecret({self.kid!r})"


class SecretRing(NamedTuple):
    """The secrets of one kind, newest first. There is at least one."""

    secrets: tuple[ServerSecret, ...]

    def used_from(self, secret: ServerSecret) -> int:
        """The instant from which a secret is used. The oldest one is used from the beginning: there is no other."""
        return 0 if secret is self.secrets[-1] else secret.created_at + PUBLISH_AHEAD

    def used_at(self, instant: int) -> ServerSecret:
        """The secret that is used at an instant. What was made then is made again with the same one, at any time."""
        return next(secret for secret in self.secrets if instant >= self.used_from(secret))

    def of_kid(self, kid: str) -> ServerSecret | None:
        """The secret of a kid, None if the ring does not have it."""
        return next((secret for secret in self.secrets if secret.kid == kid), None)

    def earlier_than(self, secret: ServerSecret) -> tuple[ServerSecret, ...]:
        """The secrets from before one, newest first."""
        return self.secrets[self.secrets.index(secret) + 1 :]

    def accepted(self, now: int, kept: int) -> tuple[ServerSecret, ...]:
        """The secrets of which something may be good: the one in use first, then the others, newest first.

        `kept` is how long something that a secret made can be good.
        """
        current = self.used_at(now)
        others = [secret for secret in self.secrets if secret is not current]
        return (current, *(secret for secret in others if self.state(secret, now, kept) != "gone"))

    def state(self, secret: ServerSecret, now: int, kept: int) -> SecretState:
        """The state of a secret at an instant. At exactly a boundary the later state holds."""
        if secret is self.used_at(now):
            return "in use"
        if now < self.used_from(secret):
            return "published"
        successor = self.secrets[self.secrets.index(secret) - 1]
        return "gone" if now >= self.used_from(successor) + kept else "kept"


def ring_of(secrets: Iterable[ServerSecret]) -> SecretRing:
    """A ring of secrets in any order."""
    return SecretRing(tuple(sorted(secrets, key=lambda secret: (secret.created_at, secret.kid), reverse=True)))


class NotYet(NamedTuple):
    """No new secret may be made: the newest one is not in use yet, and is from this instant on."""

    used_from: int


def decide_new_secret(ring: SecretRing, now: int) -> NotYet | None:
    """Whether a new secret must wait, because another one does. Otherwise they would pile up without being used.

    It also waits for a clock that stepped back: a new secret must be the newest one.
    """
    newest = ring.secrets[0]
    if now <= newest.created_at or now < ring.used_from(newest):
        return NotYet(newest.created_at + PUBLISH_AHEAD)
    return None
