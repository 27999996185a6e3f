"""The demo's protected API: a few videos, answered as the source's clients expect them."""

from hourpass.server.app import App, Receive, Scope, Send


class DemoApi:
    """An application around hourpass's own, on the same origin."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
