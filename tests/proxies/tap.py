"""A tap in a line of loopback: what is sent to a port is passed on, and remembered."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Tap:
    """Passes bytes on to a port of loopback and remembers what was sent there."""

    def __init__(self, port: int) -> None:
        self.sent = bytearray()
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pumps: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._run(self._accept)

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        self._pumps.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [near, far]
            self._run(self._pump, near, far, self.sent)
            self._run(self._pump, far, near, bytearray())

    def _pump(self, source: socket.socket, target: socket.socket, seen: bytearray) -> None:
        try:
            while data := source.recv(65_536):
                seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for pump in self._pumps:
            pump.join(5)
