"""Gets tokens from a running `hourpass agent` over its unix socket. You use it like a TokenSource.

The agent holds the API key and the refresh token, and does every refresh. This module only asks, and reads the answer.
"""

import errno
import json
import socket
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from typing import Any

from hourpass.client.credential import Credential, fingerprint, is_token, new_credential
from hourpass.clocks import age_clock, wall_clock
from hourpass.core.errors import LoginRequired, Unavailable
from hourpass.core.policy import SECOND
from hourpass.urls import AllowList

MAX_ANSWER = 64 * 1024

PATIENCE = 15.0
"""Seconds to wait for an answer. The agent may need to ask the server first."""


class AgentToken:
    """The agent at the socket `path`. `origins` are the origins that the token may be sent to."""

    def __init__(
        self,
        path: str,
        *,
        origins: Iterable[str] = (),
        allow_http: bool = False,
        clock: Callable[[], int] = age_clock,
        wall: Callable[[], int] = wall_clock,
    ) -> None:
        self.now = clock
        self.allows = AllowList(origins, allow_http=allow_http).allows
        self._path = path
        self._wall = wall
        self._newest: Credential | None = None

    def credential(self, *, min_valid: float = 0, within: float | None = None) -> Credential:
        """The agent's token. The agent refreshes it first if less than `min_valid` seconds are left.

        Raises:
            LoginRequired: the server accepts neither the agent's refresh token nor its API key.
            Unavailable: the agent cannot be reached, or has no valid token.
        """
        return self._ask("GET", f"/token?min_valid={int(min_valid)}", within=within)

    def refresh(self, *, rejected: int | None = None, retry: bool = True, within: float | None = None) -> Credential:
        """The agent's token now. The agent itself decides when to refresh.

        Raises:
            LoginRequired, Unavailable: as `credential`. Unavailable also if the agent still has the rejected token.
        """
        credential = self.credential(within=within or None)
        if rejected is not None and credential.number <= rejected:
            raise Unavailable("the agent has no newer token")
        return credential

    def reject(self, access_token: str, *, within: float | None = None) -> None:
        """Tell the agent that an API rejected this token. It refreshes if that is still the current one.

        Raises:
            LoginRequired, Unavailable: as `credential`.
        """
        # The fingerprint is enough, because the agent knows its own token.
        body = json.dumps({"fingerprint": fingerprint(access_token)}).encode()
        self._ask("POST", "/rejected", body, within=within)

    def expires_at(self, credential: Credential) -> int:
        """When a credential expires, in epoch milliseconds."""
        return self._wall() + credential.expires_at - self.now()

    def close(self, within: float | None = None) -> None:
        """Nothing is held open."""

    def __repr__(self) -> str:
        """With the path alone."""
        return f"AgentToken({self._path!r})"

    def _ask(self, method: str, target: str, body: bytes | None = None, *, within: float | None = None) -> Credential:
        status, answer = self._send(method, target, body, PATIENCE if within is None else within)
        if status == 200:
            return self._read(answer)
        if answer.get("reason") == "login_required":
            raise LoginRequired("the agent says that a login is required")
        raise Unavailable(f"the agent has no valid token (it answered {status})")

    def _send(self, method: str, target: str, body: bytes | None, timeout: float) -> tuple[int, dict[str, Any]]:
        connection = _UnixConnection(self._path, timeout)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            content = response.read(MAX_ANSWER + 1)
        except OSError as error:
            words = error.strerror or type(error).__name__
            raise Unavailable(f"the agent at {self._path} cannot be reached: {words}") from None
        except HTTPException as error:
            raise Unavailable(
                f"the program that listens at {self._path} is not an agent ({type(error).__name__})"
            ) from None
        finally:
            connection.close()
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}

    def _read(self, answer: dict[str, Any]) -> Credential:
        token, issued_at, expires_at = (answer.get(name) for name in ("access_token", "issued_at", "expires_at"))
        if not isinstance(token, str) or not is_token(token):
            raise Unavailable("the agent's answer holds no token")
        if type(issued_at) is not int or type(expires_at) is not int or expires_at <= issued_at:
            raise Unavailable("the agent's answer does not say when the token expires")
        last = self._newest
        if last is not None and last.access_token == token:
            return last
        credential = new_credential(
            access_token=token,
            refresh_token=None,
            number=1 if last is None else last.number + 1,
            issued_at=self.now() - (self._wall() - issued_at),
            lifetime=expires_at - issued_at,
            jitter=0,
        )
        if self.now() >= credential.expires_at:
            raise Unavailable(f"the agent's token expired {(self.now() - credential.expires_at) // SECOND} s ago")
        self._newest = credential
        return credential


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(errno.EAFNOSUPPORT, "this system has no unix sockets")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
