"""What became of attempts to deliver an event, in words, and what somebody can do about one that failed."""

from collections.abc import Mapping

from hourpass.core.policy import SECOND
from hourpass.core.webhook import TIME_OUT, Disabled, Result

OUTCOMES: Mapping[Result, str] = {
    "delivered": "The endpoint took it",
    "status": "The endpoint did not take it",
    "gone": "The endpoint says that it is gone for good",
    "timeout": "The endpoint did not answer in time",
    "unreachable": "No connection to the endpoint",
    "tls": "The endpoint’s certificate is not valid",
    "unknown_host": "The host has no address",
    "private_address": "The host’s address is not public, so nothing was sent",
    "broken": "The answer was not HTTP",
}

WHY_DISABLED: Mapping[Disabled, str] = {
    "operator": "Somebody disabled it.",
    "failing": "Its endpoint failed for three days.",
    "gone": "Its endpoint answered that it is gone for good (410).",
}

_HINTS: Mapping[Result, str] = {
    "gone": "Set the URL of another receiver, or delete the webhook.",
    "timeout": f"It has {TIME_OUT // SECOND} seconds: let it answer first, and work on the event after that.",
    "unreachable": "See whether the receiver runs, and whether a firewall lets this server through.",
    "tls": "Renew its certificate, and let it send the whole chain. The name must be that of the URL.",
    "unknown_host": "Compare the host with the receiver’s name, and see whether this server’s DNS knows it.",
    "private_address": "Sending to such an address needs the setting webhook_allow_private.",
    "broken": "See what listens at this port, and whether it expects http or https.",
}


def hint(result: Result, status: int | None) -> str:
    """What somebody can do about an attempt that failed. Empty if it did not."""
    if result == "status" and status is not None:
        return _hint_of_status(status)
    return _HINTS.get(result, "")


def _hint_of_status(status: int) -> str:
    if 300 <= status < 400:
        return "A redirect is not followed: set the URL to which it leads."
    if status in {401, 403}:
        return "Compare the receiver’s secret with this webhook’s. If nobody has it any more, rotate it."
    if status in {404, 405}:
        return "Compare the path of the URL with that of the receiver."
    if status == 429:
        return "The receiver has too much to do. Send it fewer events, or let it take more."
    return "The receiver’s log says why."
