"""Sends the POSTs of the contract, once each, and reads the answers.

Works with any server that has these endpoints. It sends nothing twice, follows no redirect, and keeps no cookie and no
connection. `transaction` decides what to do about an answer. Imported late, because it needs the HTTP library.
"""

import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple

import httpx2
import msgspec

from hourpass import tracing
from hourpass.client.refresh.challenge import retry_after_of
from hourpass.client.refresh.setting import Setting
from hourpass.client.refresh.transaction import Granted, NotAccepted, Outcome, Transient, Unknown
from hourpass.core.errors import ConfigurationError
from hourpass.wire.shapes import ExchangeRequest, RefreshRequest, RotateAnswer, RotateRequest, encode

MAX_ANSWER = 64 * 1024
CONNECT = 5.0
TOTAL = 10.0
"""Seconds. A whole refresh must end while the caller can still use it."""

ASSUMED_LIFETIME = 300
"""Seconds to assume if an answer does not say (RFC 6749 §5.1 only recommends it). Short, so a wrong guess is cheap."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,32768}=*", re.ASCII)
_KEY = re.compile(r"[!-~]{16,512}", re.ASCII)
_WORD = re.compile(r"[a-z_]{1,40}", re.ASCII)


class _Answer(msgspec.Struct):
    """The answer of a token endpoint (RFC 6749 §5.1). Only the access token is required."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: float = ASSUMED_LIFETIME
    refresh_token: str | None = None
    refresh_in: float | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return "_Answer(…)"


class Rotated(NamedTuple):
    """The server gave the API key its next secret."""

    api_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "Rotated(…)"


class _Failed(msgspec.Struct, frozen=True):
    """There is no whole answer."""

    outcome: Transient | Unknown


class TokenEndpoint:
    """The token endpoints of a source's server, below its URL.

    `total` is how many seconds a whole request may take.
    """

    def __init__(self, setting: Setting, *, total: float = TOTAL) -> None:
        self._setting = setting
        self._address = setting.address
        self._token_request = setting.token_request
        self._total = total
        # Made once, because it is slow to make. A forked child need not make it again.
        self._tls = setting.address.tls
        self._trusts_environment = setting.address.trusts_environment
        # A compressed answer could become far larger than its bytes.
        self._headers = {"User-Agent": setting.user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}

    def exchange(self, api_key: str, within: float = TOTAL) -> Outcome:
        """`POST /auth/api-key`, in at most `within` seconds."""
        request = ExchangeRequest(
            api_key, self._token_request.scope, self._token_request.expires_in, self._token_request.audience
        )
        return self._post("/auth/api-key", request, within)

    def refresh(self, refresh_token: str, within: float = TOTAL) -> Outcome:
        """`POST /auth/refresh`, in at most `within` seconds."""
        request = RefreshRequest(refresh_token, self._token_request.scope, self._token_request.expires_in)
        return self._post("/auth/refresh", request, within)

    def rotate(self, api_key: str, within: float = TOTAL) -> Rotated | NotAccepted | Transient | Unknown:
        """`POST /auth/rotate`, in at most `within` seconds: the next secret of the key."""
        answer = self._send("/auth/rotate", RotateRequest(api_key), within)
        return classify_rotation(*answer) if isinstance(answer, tuple) else answer.outcome

    def _post(self, path: str, request: msgspec.Struct, within: float) -> Outcome:
        answer = self._send(path, request, within)
        return classify(*answer) if isinstance(answer, tuple) else answer.outcome

    def _send(self, path: str, request: msgspec.Struct, within: float) -> "tuple[int, bytes, int | None] | _Failed":
        """Status, body and Retry-After in milliseconds, if there is an answer."""
        members = {name: value for name, value in msgspec.to_builtins(request).items() if value is not None}
        if self._tls is None:
            self._tls = _trust(is_https=self._address.is_https)
        total = min(self._total, within)
        deadline = _Deadline(total)
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            # A connection that is used once an hour is not worth keeping, and a forked child must not share one.
            with (
                tracing.request("POST", self._address.url + path, headers) as answered,
                httpx2.Client(
                    transport=self._setting.transport,
                    trust_env=self._trusts_environment,
                    proxy=self._address.proxy,
                    verify=self._tls,
                    follow_redirects=False,
                ) as client,
                deadline,
                client.stream(
                    "POST",
                    self._address.url + path,
                    content=encode(members),
                    headers=headers,
                    timeout=httpx2.Timeout(total, connect=min(total, CONNECT)),
                    extensions={"trace": deadline.trace},
                ) as response,
            ):
                answered(response.status_code)
                if response.headers.get("content-encoding", "identity") != "identity":
                    return _Failed(Transient("the token endpoint compresses its answer, though it was not asked to"))
                body = b""
                for part in response.iter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER:
                        return _Failed(Transient("the token endpoint's answer is too long"))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol) as error:
            return _Failed(Transient(_no_connection(error)))
        except httpx2.HTTPError as error:
            return _Failed(Unknown(f"no answer from the token endpoint ({type(error).__name__})"))
        retry_after = retry_after_of(response.headers.get("retry-after"), self._setting.wall())
        return response.status_code, body, retry_after

    def __repr__(self) -> str:
        """With the URL alone."""
        return f"TokenEndpoint({self._address.url!r})"


def classify_rotation(
    status: int, body: bytes, retry_after: int | None = None
) -> Rotated | NotAccepted | Transient | Unknown:
    """What an answer to a rotation means. `retry_after` is milliseconds."""
    if status in (400, 401, 403) and (problem := _refusal(status, body)) is not None:
        return NotAccepted(_reason(problem))
    if status == 409:
        return Transient("two secrets of the API key are alive", retry_after)
    if status != 200:
        return Transient(f"the server answered {status} to a rotation of the API key", retry_after)
    try:
        key = msgspec.json.decode(body, type=RotateAnswer).api_key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Transient("the answer to a rotation is not an API key")
    if not _KEY.fullmatch(key):
        return Transient("the answer to a rotation is not an API key")
    return Rotated(key)


def classify(status: int, body: bytes, retry_after: int | None = None) -> Outcome:
    """What an answer means. `retry_after` is milliseconds.

    Only 400 and 401 judge the credential (RFC 6749 §5.2, and the source's own 400), and only in the words of a token
    endpoint. Any other answer comes from something in between, such as a load balancer or a login page. It must not
    cost a refresh token, nor be blamed on the key.
    """
    if status in (400, 401) and (problem := _refusal(status, body)) is not None:
        return NotAccepted(_reason(problem))
    if status != 200:
        return Transient(f"the token endpoint answered {status}", retry_after)
    try:
        answer = msgspec.json.decode(body, type=_Answer, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Transient("the token endpoint's answer is not a token")
    if (
        answer.token_type.lower() != "bearer"
        or not _TOKEN.fullmatch(answer.access_token)
        or not 0.1 <= answer.expires_in <= 10**9
    ):
        return Transient("the token endpoint's answer is not a bearer token")
    refresh_in = answer.refresh_in
    return Granted(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or None,
        lifetime=int(answer.expires_in * 1000),
        refresh_in=int(refresh_in * 1000) if refresh_in is not None and 0 < refresh_in <= 10**9 else None,
    )


_OAUTH_ERRORS = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "invalid_target", "invalid_token",
}  # fmt: skip
"""RFC 6749 §5.2, RFC 8707 §2 and RFC 6750 §3.1."""


def _refusal(status: int, body: bytes) -> dict[str, Any] | None:
    """A token endpoint's refusal: an OAuth error, or a problem (RFC 9457) with the source's `name`. Otherwise None."""
    try:
        problem: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(problem, dict):
        return None
    error = problem.get("error")
    is_oauth = isinstance(error, str) and error in _OAUTH_ERRORS
    is_problem = isinstance(problem.get("name"), str) and problem.get("status") == status
    # An error of a JavaScript framework also has a name and a status, but it has a message, and a problem has a title.
    is_problem = is_problem and "message" not in problem
    return problem if is_oauth or is_problem else None


def _reason(problem: dict[str, Any]) -> str | None:
    """The server's word for a refusal: `reason`, or OAuth's `error`. Only a plain word is ever repeated."""
    said = (problem.get("reason"), problem.get("error"))
    return next((word for word in said if isinstance(word, str) and _WORD.fullmatch(word)), None)


def _trust(*, is_https: bool) -> ssl.SSLContext:
    """The trusted authorities: the system's, or those that SSL_CERT_FILE or SSL_CERT_DIR name."""
    try:
        return httpx2.create_ssl_context(verify=is_https, trust_env=is_https)
    except OSError as error:
        raise ConfigurationError(f"the trusted certificates cannot be loaded: {error.strerror or error}") from error


def _no_connection(error: BaseException) -> str:
    """Why there is no connection. A bad certificate gets its own words, because waiting does not help against it.

    Only the system's own words are repeated, because an exception's text may hold a proxy's password.
    """
    cause: BaseException | None = error
    said = type(error).__name__
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the token endpoint's certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            said = cause.strerror or said
        elif isinstance(cause, OSError) and cause.errno is not None:
            said = os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return f"no connection to the token endpoint ({said})"


class _Deadline:
    """Ends a whole request after `seconds`. The HTTP library's own time-outs start again with every byte."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self._stream: Any = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Note the connection. The HTTP library calls this for each of its steps."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]
            if time.monotonic() >= self._ends_at:
                # The timer found nothing to cut, because a look-up of the name or a handshake took all of the time.
                self._cut()

    def _cut(self) -> None:
        if self._stream is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown: it removes the TLS first, and a write in that moment would be sent in plain.
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
