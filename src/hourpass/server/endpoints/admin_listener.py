"""The admin listener's application: health and metrics, away from the public port."""

from hourpass.server.endpoints.app import App
from hourpass.server.telemetry.exposition import MEDIA_TYPE
from hourpass.server.transport.asgi import Receive, Scope, Send, respond
from hourpass.server.transport.request import Reply, Request


class AdminApp:
    """Health and metrics, for the admin listener."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as an ASGI application."""
        await respond(self, scope, receive, send)

    def body_limit(self, path: str) -> int:
        """No request here has a body."""
        return 0

    def answer_at_once(self, request: Request) -> None:
        """Always None: no answer here is needed often enough."""

    async def answer(self, request: Request) -> Reply:
        """The metrics, or the public application's answer for everything under /health/."""
        if request.path == "/metrics":
            return Reply(200, [(b"content-type", MEDIA_TYPE)], self._app.metrics())
        if not request.path.startswith("/health/"):
            request.path = "/admin"
        return await self._app.answer(request)
