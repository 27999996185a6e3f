"""Who is signed in to the console, in a database."""

from hourpass.core.sign_in import OneTimeLink, SignIn
from hourpass.server.store.connection import DatabaseConnection


class SignInStore(DatabaseConnection):
    """What is asked about sign-ins, and the links that lead to one."""

    def add_one_time_link(self, link: OneTimeLink) -> None:
        """Keep a link that signs in to the console."""
        self._run("add_one_time_link", *link)

    def take_one_time_link(self, id_hash: bytes) -> OneTimeLink | None:
        """A link, which is gone then: of several that ask for it, one gets it. None if there is none."""
        rows = self._rows("take_one_time_link", id_hash)
        return OneTimeLink._make(rows[0]) if rows else None

    def add_sign_in(self, one: SignIn) -> None:
        """Keep that somebody signed in to the console."""
        self._run("add_sign_in", *one)

    def sign_in(self, id_hash: bytes) -> SignIn | None:
        """Who is signed in with this id. None if nobody is."""
        rows = self._rows("sign_in", id_hash)
        return SignIn._make(rows[0]) if rows else None

    def sign_ins(self) -> list[SignIn]:
        """All sign-ins, newest first, also those that are over."""
        return [SignIn._make(row) for row in self._rows("sign_ins")]

    def note_seen(self, id_hash: bytes, at: int) -> None:
        """Note that a sign-in was used."""
        self._run("note_seen", at, id_hash)

    def end_sign_in(self, id_hash: bytes) -> None:
        """Forget a sign-in."""
        self._run("end_sign_in", id_hash)

    def end_sign_ins_of(self, who: str) -> int:
        """Forget all sign-ins of one person. Returns how many."""
        return self._run("end_sign_ins_of", who)

    def prune_sign_ins(self, started: int, seen: int, made: int) -> None:
        """Forget sign-ins that started or were last used until these instants, and links made until the third."""
        self._run("prune_sign_ins", started, seen)
        self._run("prune_one_time_links", made)
