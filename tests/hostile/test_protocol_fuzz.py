"""Any bytes in any pieces: the protocol never fails, and never gives more answers than there were requests.

`make proof` does the same for ten minutes, guided by coverage.
"""

import pytest
from tests.hostile.in_process import Client, play
from tests.hostile.mutations import Mutations
from tests.hostile.odd_requests import corpus

SPOILT = 25_000
SEED = 20_261_128

CORPUS = corpus()


def test_spoilt_requests_break_nothing():
    spoil = Mutations(SEED)
    for _ in range(SPOILT):
        raw, moves = spoil()
        try:
            play(raw, moves)
        except Exception as error:
            raise AssertionError(f"after {raw[:2_000]!r}, sent with the moves {moves!r}") from error


def outcome(*pieces: bytes) -> tuple[list[tuple[str, bytes]], bool, bytes]:
    client = Client()
    for piece in pieces:
        client.send(piece).run()
    # A client that sends its body later is told to go on.
    written = bytes(client.wire.written).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return client.understood, client.stopped, written


@pytest.mark.parametrize("half", [0, 1])
def test_a_request_that_is_cut_at_any_byte_is_the_same_request(half):
    for name, raw in list(CORPUS.items())[half::2]:
        whole = outcome(raw)
        if len(raw) < 250:
            for at in range(1, len(raw)):
                assert outcome(raw[:at], raw[at:]) == whole, f"{name}, cut at {at}"
        if len(raw) < 1_000:
            assert outcome(*[raw[at : at + 1] for at in range(len(raw))]) == whole, f"{name}, byte by byte"


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "request_",
    [b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n"],
    ids=["POST", "GET"],
)
def test_a_connection_ends_with_its_client_even_if_an_answer_is_pending(request_, count):
    """The end may come together with the request, before anything was done about that."""
    client = Client().send(request_ * count)

    client.end()

    assert len(client.house.requests) <= 1
    assert client.stopped


def test_bytes_behind_a_refused_request_are_read():
    """If it stayed in the socket, the kernel would reset the connection, and the refusal might never be seen."""
    client = Client().send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nbroken\r\n\r\n").run()

    assert client.house.refusals == ["malformed"]
    assert client.wire.reading
