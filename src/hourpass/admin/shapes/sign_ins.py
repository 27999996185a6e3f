"""What is asked and answered about who is signed in to the console."""

from hourpass.admin.shapes.asked import AdminAnswer, Asked, Instant


class SignInFacts(AdminAnswer, kw_only=True):
    """Somebody who is signed in. `actor` is who, `key_id` and `name` those of their admin key if they have one.

    `subject_prefix` is that of a delegated one. `seen_at` is exact to a minute. `address` is where they signed in from.
    """

    sign_in_id: str
    actor: str
    key_id: str | None
    name: str | None
    role: str
    subject_prefix: str | None
    started_at: Instant
    seen_at: Instant
    address: str | None


class SignInList(AdminAnswer, kw_only=True):
    """Who is signed in, the latest first."""

    data: list[SignInFacts]


class SignInNamed(Asked, kw_only=True):
    """A sign-in, by its name."""

    sign_in_id: str


class EndedSignIn(AdminAnswer, kw_only=True):
    """The sign-in that ended."""

    sign_in_id: str
    actor: str
