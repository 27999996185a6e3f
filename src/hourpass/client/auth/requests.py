"""The 401 strategy for requests: `session.auth = HourpassAuth(source)`, or `requests.get(url, auth=…)`.

Owns how requests sends a request again, and which bodies it can send twice. `strategy` decides what a 401 means and
what to do about it. Sessions of niquests accept it too.
"""

from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from hourpass.client.auth.sending import Gate, Rejection, Sending, position_of
from hourpass.client.auth.strategy import Source


class HourpassAuth(AuthBase):
    """Sends a source's token to every origin that the source allows. The caller's own Authorization header wins.

    A prepared request keeps the token that it was prepared with. If you send it much later, it gets a 401 first, and is
    then sent again with a new token.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._gate = Gate(source)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Prepare a request.

        Raises:
            HourpassError: there is no token, as for `Source.credential`.
        """
        url = r.url or ""
        if self._gate.lets(url, r.headers):
            sending = Sending(self._source, url, self._source.credential())
            r.headers["Authorization"] = sending.authorization
            r.register_hook("response", _Replays(sending, position_of(r.body)))
        return r


class _Replays:
    """Handles a request's 401s. It is called for every response, redirects and their targets included.

    A redirect is followed by a copy of the request that keeps this hook. A copy for another origin loses the token.
    Each copy has a budget of its own.
    """

    def __init__(self, sending: Sending, position: int | None) -> None:
        self._sending = sending
        self._position = position

    def __call__(self, response: Response, **options: Any) -> Response:
        self._sending.restart()
        while response.status_code == 401 and self._sending.again(self._rejection(response)):
            request = response.request
            request.headers["Authorization"] = self._sending.authorization
            body: Any = request.body
            if self._position is not None and body is not None:
                body.seek(self._position)
            # Read the response to its end, so that the connection is free for the next send.
            _ = response.content
            response.close()
            newer = response.connection.send(request, **options)
            newer.history = [*response.history, response]
            response = newer
        return response

    def _rejection(self, response: Response) -> Rejection:
        request, headers = response.request, response.headers
        authorization = request.headers.get("Authorization")
        challenge = headers.get("WWW-Authenticate")
        return Rejection(
            url=request.url or "",
            authorization=authorization if isinstance(authorization, str) else None,
            challenges=[] if challenge is None else [challenge],
            retry_after=headers.get("Retry-After"),
            replayable=self._position is not None or isinstance(request.body, bytes | str | None),
        )
