"""What the admin API says of members that do not fit is in words of its own, names the member and repeats no value."""

from urllib.parse import urlencode

import msgspec
import pytest
from tests.hostile.test_linear_readers import request

from hourpass.admin.http import in_query
from hourpass.admin.operations import (
    CREATE_KEY,
    FIND_LEAKED_KEYS,
    IMPORT_KEYS,
    LIST_AUDIT,
    LIST_KEYS,
    OPERATIONS,
)
from hourpass.core.errors import InvalidRequest
from hourpass.server.endpoints.admin_api import read_asked

VALUE = "Zk3vQ8mW1xT6"

VALUES = [5, -1, 10**20, 1.5, VALUE, VALUE * 20, True, None, [], [VALUE] * 3, [5], {}, {VALUE: 5}, {VALUE: []}]

OF_THE_LIBRARY = ("`", "Expected", "Object", "enum", "got ", "$", "None", "msgspec")


def sent(operation, members: dict, path: dict | None = None):
    """What is asked by a request with these members."""
    if in_query(operation):
        return read_asked(operation, path or {}, request(query=urlencode(members, doseq=True).encode()))
    return read_asked(operation, path or {}, request(body=msgspec.json.encode(members)))


def refusal(operation, members: dict, path: dict) -> InvalidRequest | None:
    try:
        sent(operation, members, path)
    except InvalidRequest as error:
        return error
    return None


def told(operation, members: dict, path: dict | None = None) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(InvalidRequest) as refused:
        sent(operation, members, path)
    return refused.value.detail, refused.value.names


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_member_that_does_not_fit_is_refused_in_our_words(operation):
    path = dict.fromkeys(operation.in_path, "x")
    fields = [field for field in msgspec.structs.fields(operation.asks) if field.name not in path]
    needed = {field.name: "x" for field in fields if field.required}
    for field in fields:
        for value in VALUES:
            refused = refusal(operation, needed | {field.name: value}, path)
            if refused is not None:
                assert refused.names == (field.name,), refused.detail
                assert not any(word in refused.detail for word in (*OF_THE_LIBRARY, VALUE)), refused.detail


@pytest.mark.parametrize(
    ("operation", "members", "words"),
    [
        (LIST_KEYS, {"state": "activ"}, "must be active, disabled, expired or revoked; did you mean active?"),
        (LIST_KEYS, {"limit": 201}, "must be at most 200"),
        (LIST_KEYS, {"limit": "many"}, "must be a whole number"),
        (LIST_AUDIT, {"newest": "maybe"}, "must be true or false"),
        (IMPORT_KEYS, {"dry_run": "maybe"}, "must be true or false"),
        (FIND_LEAKED_KEYS, {"texts": ["a", "b" * 129]}, "has an entry (2) that must have at most 128 characters"),
        (FIND_LEAKED_KEYS, {"texts": ["a"] * 401}, "must have at most 400 entries"),
        (CREATE_KEY, {"name": "a", "claims": {"b": []}}, "has an entry that must be true or false, a whole number, a"),
        (CREATE_KEY, {"name": 5}, "must be a text"),
        (CREATE_KEY, {}, "is missing"),
        (CREATE_KEY, {"name": "a", "scop": "b"}, "is not known here; did you mean scope?"),
        (LIST_KEYS, {"zzz": "b"}, "is not known here; known are admin, cursor, "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_said_helps_to_mend_it(operation, members, words):
    detail, [name] = told(operation, members)

    assert detail.startswith(f"{name} {words}")


@pytest.mark.parametrize(
    ("body", "words"), [(b"{", "is not JSON"), (b"[]", "is not a JSON object"), (b"5", "is not a")]
)
def test_a_body_that_is_not_json_is_told_from_one_that_is_not_an_object(body, words):
    with pytest.raises(InvalidRequest, match=words) as refused:
        read_asked(CREATE_KEY, {}, request(body=body))
    assert refused.value.names == ()


def test_a_query_that_cannot_be_read_says_that_it_is_the_query():
    with pytest.raises(InvalidRequest, match="query"):
        read_asked(LIST_KEYS, {}, request(query=b"%zz"))
