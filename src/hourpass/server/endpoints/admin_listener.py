"""The admin listener's application: health and metrics, away from the public port."""

from hourpass.core.policy import SECOND
from hourpass.server.endpoints.app import App
from hourpass.server.telemetry.telemetry import render_metrics
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
            gauges = {
                "revocations_in_force": self._app.issuer.verification.in_force,
                "clock_offset_seconds": self._app.time.offset / SECOND,
            }
            self._app.counts["stalls"] = self._app.time.stalled
            body = render_metrics(self._app.counts, gauges)
            return Reply(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], body)
        if not request.path.startswith("/health/"):
            request.path = "/admin"
        return await self._app.answer(request)
