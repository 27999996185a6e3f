"""Every error of the admin API has a status and a stable code, and the reference lists them all."""

import re
from pathlib import Path

import pytest

from hourpass.core import errors
from hourpass.server.endpoints.admin_problem import Unauthenticated, refused_reply, tell
from hourpass.server.transport.render import MethodNotAllowed, NoSuchRoute
from hourpass.server.transport.request import TooLarge

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "admin-api.md"

TOLD = [
    errors.InvalidRequest("words"), errors.InvalidRequest("words", name="a"), errors.InvalidScope(), Unauthenticated(),
    errors.InvalidToken("expired"), errors.InsufficientScope("a"), errors.NotDelegated(), errors.NotFound(),
    NoSuchRoute(), MethodNotAllowed("GET"), errors.RotationUnderWay(1, 0), errors.CallUnderWay(), errors.AnswerGone(),
    errors.ChangedMeanwhile(), errors.AheadOfTrail(), TooLarge(), errors.KeyReused(), errors.PrivateAddress(),
    errors.Throttled(1), errors.StorageUnavailable(), errors.Unavailable(), RuntimeError("secret"),
]  # fmt: skip

NEVER = {
    errors.InvalidCredentials, errors.InvalidGrant, errors.InvalidTarget, errors.UnsupportedGrantType,
    errors.SelfRotationOff, errors.LoginRequired, errors.LockTimeout,
}  # fmt: skip
"""What no operation raises: they belong to the token endpoints and to clients."""

UNREAD = (400, 408, 413, 431, 503)


def test_the_reference_lists_every_status_with_its_code():
    listed = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    told = {(str(each.status), each.code) for each in (tell(error, "realm") for error in TOLD)}
    unread = {re.search(rb'"status":(\d+),"code":"(\w+)"', refused_reply(each, "id").body) for each in UNREAD}

    assert listed == told | {(found[1].decode(), found[2].decode()) for found in unread}


def test_no_error_is_forgotten():
    kinds = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HourpassError)
    }
    reachable = {kind for kind in kinds if issubclass(kind, (errors.Refused, errors.Unavailable))} - {errors.Refused}

    assert reachable == (NEVER | {type(error) for error in TOLD}) & kinds


@pytest.mark.parametrize("error", [RuntimeError("secret"), errors.ConfigurationError("secret"), KeyError("secret")])
def test_an_error_that_is_not_a_refusal_tells_nothing(error):
    assert tell(error, "realm")[:4] == (500, "server_error", "", None)
