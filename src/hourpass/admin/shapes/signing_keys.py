"""What is asked and answered about signing keys."""

from hourpass.admin.shapes.asked import AdminAnswer, Asked, Instant
from hourpass.core.signing_key import Algorithm, SigningKeyState


class SigningKeyFacts(AdminAnswer, kw_only=True):
    """A key that signs access tokens."""

    kid: str
    algorithm: Algorithm
    state: SigningKeyState
    published_at: Instant
    signs_from: Instant
    retired_at: Instant | None
    verifies_until: Instant | None


class SigningKeyPage(AdminAnswer, kw_only=True):
    """All signing keys, oldest first. They are few, so `next` is always null."""

    data: list[SigningKeyFacts]
    next: str | None = None


class SigningKeyNamed(Asked, kw_only=True):
    """A signing key, by its id."""

    kid: str


class RotatedSigningKey(SigningKeyFacts, kw_only=True):
    """A signing key that was just published, and the id of the one that it retires."""

    retires: str | None


class WithdrawnSigningKey(AdminAnswer, kw_only=True):
    """A signing key that was withdrawn, and the one that signs in its place if it signed or waited to."""

    kid: str
    stand_in: SigningKeyFacts | None
