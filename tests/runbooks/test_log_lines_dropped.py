"""docs/runbooks/log-lines-dropped.md, on a server whose log's reader has ended."""

import os
import socket


def test_a_log_whose_reader_has_ended_raises_the_alarm(serve, prometheus, open_runbook, await_symptom):
    reader, writer = os.pipe()
    server = serve(admin_listen=prometheus.target(), output=writer)
    prometheus.await_scraped(server.admin)
    os.close(reader)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as stranger:
        stranger.sendall(b"not HTTP\r\n\r\n")
        stranger.recv(1_000)
    book = open_runbook("log-lines-dropped", server)
    await_symptom(book, server)

    book.run()
    book.await_over()

    os.close(writer)
