"""TERM drains: requests in flight finish, new ones are refused, the exit code is 0."""

import json
import signal
import socket
import time


def test_a_request_in_flight_finishes_and_a_new_one_is_refused(serve):
    server = serve()
    body = json.dumps({"apiKey": server.create_key()["api_key"]}).encode()
    head = b"POST /auth/api-key HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port), 10) as in_flight:
        in_flight.sendall(head + body[:10])
        time.sleep(0.2)  # the server has begun to read it

        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        refused = False
        while not refused and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", server.port), 1).close()
            except OSError:
                refused = True
        in_flight.sendall(body[10:])
        answer = b""
        while chunk := in_flight.recv(65_536):
            answer += chunk

    assert refused
    assert answer.startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0
