"""The 401 strategy for aiohttp: `ClientSession(middlewares=[HourpassAuth(source)])`.

Owns how aiohttp sends a request again, and which bodies it can send twice. `strategy` decides what a 401 means and what
to do about it.
"""

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from hourpass.client.auth.sending import Gate, Rejection, Sending
from hourpass.client.auth.strategy import Source


class HourpassAuth:
    """Sends a source's token to every origin that the source allows. The caller's own Authorization header wins.

    aiohttp runs a middleware for every hop of a redirect, as a request of its own. Each hop is checked for its own
    origin, so a hop to an origin that is not allowed does not carry the token. Each hop has a budget of its own. You
    can use one object for any number of sessions and event loops.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._gate = Gate(source)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send one request.

        Raises:
            HourpassError: there is no token to start with, as for `Source.credential_async`.
        """
        url = str(request.url)
        if not self._gate.lets(url, request.headers):
            return await handler(request)
        sending = Sending(self._source, url, await self._source.credential_async())
        try:
            while True:
                request.headers["Authorization"] = sending.authorization
                response = await handler(request)
                if response.status != 401:
                    return response
                try:
                    replays = await sending.again_async(_rejection(request, response))
                except BaseException:
                    response.close()
                    raise
                if not replays:
                    return response
                response.release()
                # The 401 may have come before the body was sent. Stop its writer, or it reads on beside the next one.
                await request.close()
        finally:
            # aiohttp shows a request's headers in the repr of its errors.
            request.headers.pop("Authorization", None)


def _rejection(request: ClientRequest, response: ClientResponse) -> Rejection:
    return Rejection(
        url=str(request.url),
        authorization=request.headers.get("Authorization"),
        challenges=response.headers.getall("WWW-Authenticate", []),
        retry_after=response.headers.get("Retry-After"),
        # aiohttp rewinds a file to its old position, and marks a body that it cannot read twice.
        replayable=not (request.body and request.body.consumed),
    )
