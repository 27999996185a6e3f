"""What strangers send costs no more than its length: each reader of their bytes, with texts that make readers slow.

A text costs about as much as the sixteen parts that it could come in. With a quadratic reader it costs sixteen times as
much. Processor time is compared, and never with a fixed limit.
"""

import asyncio
import itertools
import string
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from hourpass.admin.operations import CREATE_KEY, INSPECT_TOKEN, LIST_KEYS, Operation
from hourpass.admin.shapes import ImportedKeys, ImportKeys
from hourpass.core.admin_host import is_known_host
from hourpass.core.api_key import keys_in
from hourpass.core.authorization import KeySources, read_credential
from hourpass.core.errors import Refused
from hourpass.core.key_members import fields
from hourpass.server.admin.key_import import ImportBatch
from hourpass.server.console.guard import cookie_of, fields_of
from hourpass.server.endpoints.admin_api import idempotency_key, if_match, read_asked
from hourpass.server.endpoints.admin_import import import_body
from hourpass.server.endpoints.forward_auth import read_requirement
from hourpass.server.keys.import_rows import RowRefused, read_columns, read_row
from hourpass.server.settings.past import past
from hourpass.server.transport.message import RefusedRequest, find_head, read_head
from hourpass.server.transport.request import Request
from hourpass.wire import reading

PARTS = 16
LONG = 64 * 1024
BOUND = 5
"""How many times the cost of its parts a text may cost. A linear reader needs 1, and the processor's caches make 2."""

WORDS = ["".join(letters) for letters in itertools.product(string.ascii_letters, repeat=3)]


def words(size: int) -> list[str]:
    return WORDS[: size // 8]


def member(text: str) -> bytes:
    return b'{"a":%b}' % text.encode()


def repeated(unit: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    return lambda size: (before + unit * (size // len(unit)) + after).encode()


def objects(pairs: Callable[[int], list[str]]) -> Callable[[int], bytes]:
    return lambda size: ("{" + ",".join(pairs(size)) + "}").encode()


KEY_SHAPE = "abcdefghijklmnop_production_" + "a" * 12 + "_" + "b" * 32

TEXTS: dict[str, Callable[[int], bytes]] = {
    "members, the last one twice": objects(lambda size: [f'"{each}":0' for each in [*words(size), words(size)[-1]]]),
    "members, each one twice": objects(lambda size: [f'"{each}":0' for each in words(size // 2) * 2]),
    "members before escapes": objects(
        lambda size: [*(f'"{each}":"{each}"' for each in words(size // 3)), '"end":"%s"' % ("\\u0001" * (size // 12))]
    ),
    "members before a NUL": objects(lambda size: [*(f'"{each}":0' for each in words(size)), '"end":"\\u0000"']),
    "arrays in arrays": repeated("["),
    "objects in objects": repeated('{"a":'),
    "brackets in a text": repeated("[]{}", '{"a":"', '"}'),
    "arrays in arrays between texts": repeated('"a",[', "["),
    "backslashes": repeated("\\\\", '{"a":"', '"}'),
    "a long number": repeated("9", '{"a":', "}"),
    "a long fraction": repeated("9", '{"a":0.', "}"),
    "many numbers": repeated("1." + "9" * 200 + "e-200,", '{"a":[', "0]}"),
    "surrogates": repeated("\\ud83d\\ude00", '{"a":"', '"}'),
    "an unknown member": repeated("x", '{"', '":1}'),
    "an unknown member of many words": repeated("field `", '{"', '":1}'),
    "quotes": repeated('"'),
    "keys": repeated(KEY_SHAPE, '{"a":"', '"}'),
    "beginnings of keys": repeated("abcdefghijklmnop_production_", '{"name":"', '"}'),
    "ampersands": repeated("&"),
    "pairs": repeated("a=b&"),
    "different pairs": lambda size: "&".join(f"{each}=1" for each in words(size)).encode(),
    "percent signs": repeated("%", "a="),
    "escapes": repeated("%41", "a="),
    "plus signs": repeated("+", "a="),
    "equals signs": repeated("=", "a="),
    "spaces": repeated(" ", "a", "a"),
    "tabs": repeated("\t", "a", "a"),
    "line ends": repeated("\r\n", "a", "a"),
    "halves of line ends": repeated("\r", "a", "a"),
    "commas and spaces": repeated(" ,\t", "", "x"),
    "entity tags": repeated('"a", W/"b" ,'),
    "entity tags without commas": repeated('"a" '),
    "cookies": repeated("hourpass=a; "),
    "bearer with spaces": repeated(" ", "Bearer ", "a"),
    "bearer tokens": repeated("a ", "Bearer "),
    "basic": repeated("QQ==", "Basic "),
    "addresses": repeated("1.1.1.1,"),
    "addresses in brackets": repeated("[::1]:1,"),
    "colons": repeated(":", "[", "]"),
    "dots": repeated(".", "1"),
    "words": lambda size: " ".join(words(size)).encode(),
    "digits": repeated("1"),
    "dates": repeated("2027-01-31T"),
}  # fmt: skip


def request(query: bytes = b"", body: bytes = b"", header: tuple[bytes, bytes] | None = None) -> Request:
    headers = ((b"host", b"localhost"), *([header] if header else []))
    return Request("POST", "/", query, headers, "127.0.0.1", body, trusted_proxies=("127.0.0.1", "1.1.1.1", "::1"))


def asked_in_body(operation: Operation) -> Callable[[bytes], object]:
    return lambda text: read_asked(operation, {}, request(body=text))


def header(name: bytes, read: Callable[[Request], object]) -> Callable[[bytes], object]:
    return lambda text: read(request(header=(name, text)))


def members_of_key(text: bytes) -> None:
    """One member of a key for each rule about texts, lists and mappings, with all of the text, or its words."""
    whole, parts = text.decode(), text.decode().split(" ")
    for name, value in [
        *((name, whole) for name in ("name", "scope", "subject")),
        *((name, made) for name in ("audiences", "allowed_ips") for made in ([whole], parts)),
        *((name, made) for name in ("claims", "tags") for made in ({whole: ""}, {"a": whole}, dict.fromkeys(parts, "")))
    ]:  # fmt: skip
        with suppress(Refused):
            fields({name: value})


def line_of_import(text: bytes) -> None:
    if not isinstance(columns := read_columns(text), str):
        read_row(columns)


async def carried_out(batch: ImportBatch) -> ImportedKeys:
    return ImportedKeys()


def import_in_small_pieces(text: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(text), 8):
            yield text[at : at + 8]

    given = request()
    given.stream = pieces()
    asyncio.run(import_body(given, ImportKeys(), carried_out))


EVERYWHERE = KeySources(basic=True, bearer=True, headers=(b"x-api-key",))

READERS: dict[str, Callable[[bytes], object]] = {
    "an exchange": reading.read_exchange,
    "a refresh": reading.read_refresh,
    "a rotation": reading.read_rotate,
    "a report of leaks": reading.read_leak_report,
    "a form": reading.read_form,
    "a form of the console": fields_of,
    "a body of the admin API": asked_in_body(INSPECT_TOKEN),
    "a body with members of a key": asked_in_body(CREATE_KEY),
    "a query of the admin API": lambda text: read_asked(LIST_KEYS, {}, request(query=text)),
    "a query of forward auth": lambda text: read_requirement.__wrapped__(text, "https://a"),
    "If-Match": header(b"if-match", if_match),
    "Idempotency-Key": header(b"idempotency-key", idempotency_key),
    "Authorization": header(b"authorization", lambda asked: read_credential(asked.headers)),
    "Authorization or a key": header(b"authorization", lambda asked: read_credential(asked.headers, EVERYWHERE)),
    "a key in a header of its own": header(b"x-api-key", lambda asked: read_credential(asked.headers, EVERYWHERE)),
    "X-Forwarded-For": header(b"x-forwarded-for", Request.address),
    "cookies": header(b"cookie", lambda asked: cookie_of(asked).ids_in(asked)),
    "a host": lambda text: is_known_host(text.decode(), (), "127.0.0.1:1"),
    "a header block": lambda text: read_head(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: " + text, None),
    "a header block that has begun": lambda text: find_head(b"GET / HTTP/1.1\r\nhost: " + text, 0, 2 * LONG),
    "a path": lambda text: read_head(b"GET /%b HTTP/1.1\r\nhost: a" % text, None),
    "a line of an import": line_of_import,
    "an import in small pieces": import_in_small_pieces,
    "members of a key": members_of_key,
    "a text with keys": lambda text: keys_in(text.decode()),
    "an instant": lambda text: past(text.decode()),
}


def cost(read: Callable[[bytes], object], text: bytes, times: int) -> int:
    began = time.thread_time_ns()
    for _ in range(times):
        with suppress(Refused, RowRefused, RefusedRequest, ValueError):
            read(text)
    return time.thread_time_ns() - began


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_text_costs_no_more_than_its_parts(read):
    slow = [
        name
        for name, make in TEXTS.items()
        if all(cost(read, make(LONG), 1) > BOUND * cost(read, make(LONG // PARTS), PARTS) for _ in range(3))
    ]

    assert slow == []
