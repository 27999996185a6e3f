"""A page that asks whether something is meant: what it will do, in numbers, and often a name to type."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from hourpass.server.console.page import PageAnswer, PageHandler, Shown, Visit

NOTHING: Mapping[str, str] = MappingProxyType({})


class Confirmation(NamedTuple):
    """What is asked before something is done. `action` is the path of the form, `effects` are sentences on its results.

    `expected` is what the person must type, empty if the button is enough. `carried` is what the form has besides.
    `back` is the path of the page before, and `other` the path and the words of another way. With `once`, the form does
    nothing if it is sent again.
    """

    title: str
    crumbs: Sequence[tuple[str, str]]
    consequence: str
    effects: Sequence[str]
    action: str
    verb: str
    back: str
    expected: str = ""
    carried: Mapping[str, str] = NOTHING
    danger: bool = True
    once: bool = False
    other: tuple[str, str] | None = None

    def page(self, problem: str = "", status: int = 422) -> Shown:
        """The page. With a `problem` it is shown again, with that status."""
        return Shown("confirm.html", {**self._asdict(), "problem": problem}, status if problem else 200)


def asks(question: Callable[[Visit], Confirmation]) -> PageHandler:
    """The function of a view that shows a question."""

    def show(visit: Visit) -> PageAnswer:
        return question(visit).page()

    return show
