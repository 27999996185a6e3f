"""Those who wait for the ledger, and how they are told what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hourpass.server.ledger.asking import Opening, Refreshing
from hourpass.server.ledger.jobs import Job

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class Asker(msgspec.Struct, frozen=True):
    """A caller with a question for the next batch, since an instant of the ledger's timer."""

    asked: Opening | Refreshing
    finish: Callable[[Any], Any]
    future: "asyncio.Future[Any]"
    at: int
    tries: int = 0
    span: "Span | None" = None


def tell_all(callers: Sequence[Asker | Job], outcomes: Sequence[Any]) -> None:
    """Tell each caller what came of it."""
    for caller, outcome in zip(callers, outcomes, strict=True):
        tell_caller(caller, outcome)


def tell_caller(caller: Asker | Job, outcome: Any) -> None:
    """Tell a caller who is still there."""
    if caller.future.done():
        return
    if isinstance(outcome, Exception):
        caller.future.set_exception(outcome)
    else:
        caller.future.set_result(outcome)


def finished(batch: list[Asker], answers: list[Any]) -> list[Any]:
    """What the callers will get, exceptions included. No answer is made for a caller who has left."""
    outcomes = []
    for entry, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Exception) or entry.future.done():
            outcomes.append(answer)
            continue
        try:
            outcomes.append(entry.finish(answer))
        except Exception as error:  # noqa: BLE001 - it is the caller's answer
            outcomes.append(error)
    return outcomes
