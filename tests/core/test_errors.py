"""The error tree: stable codes, the members that say what to do next, and details that stay inside."""

import errno

import pytest

from hourpass.core import errors

TREE = {error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)}

CODES = {
    errors.AnswerGone: "answer_gone",
    errors.CallUnderWay: "idempotency_under_way",
    errors.KeyReused: "idempotency_key_reused",
    errors.ChangedMeanwhile: "precondition_failed",
    errors.HourpassError: "server_error",
    errors.Refused: "server_error",
    errors.InvalidRequest: "invalid_request",
    errors.InvalidCredentials: "invalid_client",
    errors.InvalidGrant: "invalid_grant",
    errors.InvalidScope: "invalid_scope",
    errors.InvalidTarget: "invalid_target",
    errors.UnsupportedGrantType: "unsupported_grant_type",
    errors.InvalidToken: "invalid_token",
    errors.InsufficientScope: "insufficient_scope",
    errors.NotDelegated: "not_delegated",
    errors.Throttled: "too_many_requests",
    errors.NotFound: "not_found",
    errors.PrivateAddress: "private_address",
    errors.SelfRotationOff: "self_rotation_off",
    errors.RotationUnderWay: "rotation_under_way",
    errors.AheadOfTrail: "ahead_of_trail",
    errors.LoginRequired: "invalid_grant",
    errors.Unavailable: "temporarily_unavailable",
    errors.StorageUnavailable: "temporarily_unavailable",
    errors.LockTimeout: "temporarily_unavailable",
    errors.ConfigurationError: "server_error",
    errors.ExtraMissing: "server_error",
}


@pytest.mark.parametrize("error", sorted(TREE, key=lambda error: error.__name__))
def test_a_code_is_the_word_of_the_rfc_if_it_has_one(error):
    """RFC 6749 §5.2, RFC 6750 §3.1."""
    assert error.code == CODES[error]


def test_the_drawing_shows_the_tree_as_it_is():
    drawn = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        name = next((word for word in line.split() if word in {error.__name__ for error in TREE}), None)
        if name is not None:
            depth = (line.index(name) - 4) // 4
            path[depth:] = [name]
            drawn[name] = path[depth - 1] if depth else None

    assert drawn == {
        error.__name__: None if error is errors.HourpassError else error.__base__.__name__ for error in TREE
    }


@pytest.mark.parametrize(
    ("error", "member", "value"),
    [
        (errors.InvalidRequest("d", name="apiKey"), "name", "apiKey"),
        (errors.InvalidRequest("d"), "name", ""),
        (errors.InvalidRequest("d", name="apiKey"), "names", ("apiKey",)),
        (errors.InvalidRequest("d", names=("apiKey", "scope")), "name", "apiKey"),
        (errors.InvalidRequest("d"), "names", ()),
        (errors.InvalidCredentials("d", reason="expired"), "reason", "expired"),
        (errors.InvalidCredentials("d"), "reason", None),
        (errors.InvalidGrant("ahead", "d"), "reason", "ahead"),
        (errors.InvalidToken("audience", "d"), "problem", "audience"),
        (errors.InsufficientScope("a b"), "scope", "a b"),
        (errors.Throttled(7), "retry_after", 7),
        (errors.Unavailable("d"), "retry_after", 1),
        (errors.StorageUnavailable("d", retry_after=3), "retry_after", 3),
        (errors.LoginRequired("d", reason="revoked"), "reason", "revoked"),
        (errors.LoginRequired("d"), "reason", None),
        (errors.LockTimeout("d"), "retry_after", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_says_what_a_caller_can_act_on(error, member, value):
    assert getattr(error, member) == value


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (errors.NotFound("no such grant"), "no such grant"),
        (errors.NotFound(), ""),
        (errors.InvalidGrant("replayed"), "replayed"),
        (errors.InvalidGrant("malformed", "signature"), "signature"),
        (errors.InvalidToken("expired"), "expired"),
        (errors.InvalidToken("signature", "no key of ours"), "no key of ours"),
    ],
    ids=repr,
)
def test_the_detail_is_what_the_log_shows(error, detail):
    assert error.detail == str(error) == detail


def test_trouble_of_ours_is_never_a_refusal():
    """A client must not throw its token away because a database blinked."""
    assert not issubclass(errors.StorageUnavailable, errors.Refused)
    assert not issubclass(errors.ConfigurationError, errors.Refused)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError(errno.EMFILE, "Too many open files", "/a/path"), "Too many open files"),
        (ConnectionResetError(), "ConnectionResetError"),
        (MemoryError(), "out of memory"),
        (RuntimeError("can't start new thread"), "can't start new thread"),
    ],
)
def test_a_shortage_of_the_machine_is_trouble_of_the_storage(error, detail):
    trouble = errors.as_trouble(error)

    assert (type(trouble), trouble.detail, trouble.retry_after) == (errors.StorageUnavailable, detail, 1)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("a bug"), errors.InvalidGrant("expired")])
def test_any_other_error_stays_as_it_is(error):
    assert errors.as_trouble(error) is error


@pytest.mark.parametrize(("ends_at", "retry_after"), [(10_000, 10), (9_001, 10), (1, 1), (0, 1), (-5, 1)])
def test_a_rotation_that_is_under_way_says_in_how_many_whole_seconds_it_is_over(ends_at, retry_after):
    error = errors.RotationUnderWay(ends_at, 0)

    assert (error.ends_at, error.retry_after) == (ends_at, retry_after)


def test_a_missing_extra_is_an_error_that_says_how_to_install_it():
    error = errors.ExtraMissing.of("otel", "tracing needs an extra")

    assert isinstance(error, errors.ConfigurationError)
    assert str(error) == "tracing needs an extra: pip install 'hourpass[otel]'"
