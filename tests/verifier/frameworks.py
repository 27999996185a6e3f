"""The same API in nine frameworks, each behind our middleware, asked without a server in between.

Each view answers with the name of its route, so that an answer says which view the real router chose.
"""

import asyncio
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

import falcon
import falcon.asgi
import litestar
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from fastapi import FastAPI
from flask import Flask
from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tests.verifier.django_project import configure
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from hourpass.verifier import Verifier, asgi, wsgi
from hourpass.verifier.django import configured
from hourpass.verifier.guard import KeyIdentity

with warnings.catch_warnings():
    # Pyramid loads parts of the standard library and of setuptools that say their days are numbered.
    warnings.simplefilter("ignore")
    from pyramid.config import Configurator
    from pyramid.response import Response as PyramidResponse

if not settings.configured:
    configure()

ROUTES = {"/videos": "videos", "/admin": "admin", "/vidéos": "accents", "/private": "private", "/health": "health",
          "/api-docs": "docs"}  # fmt: skip
"""Path and name. Each framework also has `/videos/ID` (videos), `/public/ANYTHING` (public) and, by its own means of
mounting, `/sub/admin` (sub)."""

NEEDS = {"videos": "videos", "admin": "admin", "accents": "accents", "sub": "sub", "private": ""}
"""The scope that each view needs. Those which are not here are public."""

OPTIONS: dict[str, Any] = {
    "verifier": Verifier(issuer="https://auth.test", audience="https://api.test"),
    "api_keys": lambda scopes: KeyIdentity("alice", "key", scopes),
    "public": ["/health", "/public/*", "/api-docs"],
    "scopes": {"/videos": "videos", "/admin": "admin", "/vidéos": "accents", "/sub/admin": "sub"},
}
"""The user name of HTTP Basic names the caller's scopes."""


class Question(NamedTuple):
    """One request. `spelling` is the path as it travels. `scopes` are the caller's, None without a credential."""

    spelling: str
    root: str = ""
    scopes: str | None = None


Ask = Callable[[Iterable[Question]], list[str]]
"""Answers each question with the name of the view that was reached, or a status."""


def over_asgi(app: Any) -> Ask:
    async def one(question: Question) -> str:
        raw = question.spelling.encode()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": unquote(question.spelling), "raw_path": raw, "query_string": b"", "root_path": question.root,
            "headers": [(b"host", b"api.test"), (b"origin", b"https://app.test"), *_headers(question)],
            "client": ("127.0.0.1", 1), "server": ("api.test", 80), "state": {},
        }  # fmt: skip
        status, body, asked = 0, b"", 0

        async def receive():
            nonlocal asked
            asked += 1
            if asked > 1:
                await asyncio.sleep(3_600)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            nonlocal status, body
            status, body = message.get("status", status), body + message.get("body", b"")

        await app(scope, receive, send)
        return body.decode() if status == 200 else str(status)

    async def all_of(questions: Iterable[Question]) -> list[str]:
        return [await one(question) for question in questions]

    return lambda questions: asyncio.run(all_of(questions))


def over_wsgi(app: Any) -> Ask:
    def one(question: Question) -> str:
        path = question.spelling
        if question.root:
            # The server takes off what it mounts the application at (PEP 3333).
            path = path.removeprefix(question.root)
        environ = {
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": question.root,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": "", "SERVER_NAME": "api.test", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "api.test", "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
            "wsgi.errors": None, "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
            **{f"HTTP_{name.decode().upper()}": value.decode() for name, value in _headers(question)},
        }  # fmt: skip
        status = []
        try:
            answer = app(environ, lambda line, headers, error=None: status.append(line[:3]))
        except UnicodeDecodeError:  # Pyramid's, of a path that is not UTF-8: a server makes a 500 of it
            return "500"
        body = b"".join(answer).decode("latin-1")
        if close := getattr(answer, "close", None):
            close()
        return body.strip('"') if status[-1] == "200" else status[-1]

    return lambda questions: [one(question) for question in questions]


def _headers(question: Question) -> list[tuple[bytes, bytes]]:
    if question.scopes is None:
        return []
    return [(b"authorization", b"Basic " + b64encode(f"{question.scopes}:".encode()))]


# --- The applications.


def starlette(**settings: Any) -> Starlette:
    def view(name: str):
        async def answer(request):
            return PlainTextResponse(name)

        return answer

    return Starlette(
        routes=[
            *(Route(where, view(name)) for where, name in ROUTES.items()),
            Route("/videos/{id}", view("videos")),
            Route("/public/{rest:path}", view("public")),
            Mount("/sub", Starlette(routes=[Route("/admin", view("sub"))])),
        ],
        **settings,
    )


def fastapi(**settings: Any) -> FastAPI:
    def add(to: FastAPI, where: str, name: str) -> None:
        @to.get(where)
        async def answer():
            return PlainTextResponse(name)

    app, sub = FastAPI(**settings), FastAPI()
    for where, name in {**ROUTES, "/videos/{id}": "videos", "/public/{rest:path}": "public"}.items():
        add(app, where, name)
    add(sub, "/admin", "sub")
    app.mount("/sub", sub)
    return app


def fastapi_inside(**settings: Any) -> FastAPI:
    app = fastapi(**settings)
    app.add_middleware(asgi.HourpassMiddleware, **OPTIONS)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    return app


def fastapi_with_a_root() -> FastAPI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and in many programs
        return fastapi(root_path="/api")


def litestar_app(**settings: Any) -> litestar.Litestar:
    def view(where: str, name: str):
        @litestar.get(where, media_type="text/plain", name=where)
        async def answer() -> str:
            return name

        return answer

    inner = litestar.Litestar([view("/admin", "sub")], openapi_config=None, logging_config=None)

    @litestar.asgi("/sub", is_mount=True, copy_scope=True)
    async def sub(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    paths = {**ROUTES, "/videos/{id:str}": "videos", "/public/{rest:path}": "public"}
    views = [view(where, name) for where, name in paths.items()]
    return litestar.Litestar([*views, sub], openapi_config=None, logging_config=None, **settings)


def quart() -> Quart:
    return _flasky(Quart(__name__))


def _flasky(app: Any) -> Any:
    def add(where: str, name: str) -> None:
        if isinstance(app, Quart):

            async def answer(**rest):
                return name
        else:

            def answer(**rest):
                return name

        app.add_url_rule(where, where, answer)

    for where, name in {**ROUTES, "/videos/<id>": "videos", "/public/<path:rest>": "public"}.items():
        add(where, name)
    if isinstance(app, Quart):
        add("/sub/admin", "sub")
    return app


def flask() -> Flask:
    app, sub = _flasky(Flask("main")), Flask("sub")
    sub.add_url_rule("/admin", "admin", lambda: "sub")
    app.wsgi_app = wsgi.HourpassMiddleware(DispatcherMiddleware(app.wsgi_app, {"/sub": sub}), **OPTIONS)
    return app


def falcon_app(kind: type) -> Any:
    class View:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_get(self, request, response, **rest):
            response.text = self.name

    class AsyncView(View):
        async def on_get(self, request, response, **rest):
            response.text = self.name

    app = kind()
    app.req_options.strip_url_path_trailing_slash = True
    view = AsyncView if kind is falcon.asgi.App else View
    for where, name in {**ROUTES, "/videos/{id}": "videos", "/public/{rest:path}": "public"}.items():
        app.add_route(where, view(name))
    app.add_route("/sub/admin", view("sub"))
    return app


def pyramid() -> Any:
    with Configurator() as config:

        def add(to: Configurator, where: str, name: str) -> None:
            to.add_route(f"{name} {where}", where)
            to.add_view(lambda request: PyramidResponse(name), route_name=f"{name} {where}")

        for where, name in {**ROUTES, "/videos/{id}": "videos", "/public/*rest": "public"}.items():
            add(config, where, name)
        config.include(lambda inner: add(inner, "/admin", "sub"), route_prefix="/sub")
        # A path that no route matches is traversed: there, `@@` in front of a view's name is passed over.
        config.add_view(lambda request: PyramidResponse("videos"), name="videos")
        return config.make_wsgi_app()


# --- Django, whose routes are this module's.


def _django_view(name: str):
    def answer(request, **rest):
        return HttpResponse(name)

    return answer


def _rest_view(name: str):
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from hourpass.verifier.rest_framework import scope

    class View(APIView):
        permission_classes = (scope(NEEDS.get(name, "")),) if name in NEEDS else ()

        def get(self, request, **rest):
            return Response(name)

    return View.as_view()


def _django_routes(view: Callable[[str], Any]) -> list[Any]:
    return [
        *(path(where[1:], view(name)) for where, name in ROUTES.items()),
        re_path("^videos/(?P<id>[^/]+)$", view("videos")),
        path("public/<path:rest>", view("public")),
        path("sub/", include([re_path("^admin$", view("sub"))])),
    ]


class _Urls:
    def __init__(self, view: Callable[[str], Any]) -> None:
        self.urlpatterns = _django_routes(view)


def django(
    over: Callable[[Any], Ask], handler: type, view: Callable[[str], Any], around: Any = None, **settings: Any
) -> Ask:
    """Settings hold while questions are answered."""
    urls = _Urls(view)

    def ask(questions: Iterable[Question]) -> list[str]:
        middleware = [] if around else ["hourpass.verifier.django.HourpassMiddleware"]
        with ExitStack() as stack:
            stack.enter_context(
                override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware, HOURPASS=OPTIONS, **settings)
            )
            configured.cache_clear()
            stack.callback(configured.cache_clear)
            app = handler()
            return over(around(app, **OPTIONS) if around else app)(questions)

    return ask


INSIDE = [Middleware(CORSMiddleware, allow_origins=["*"]), Middleware(asgi.HourpassMiddleware, **OPTIONS)]


def behind_a_function(app: Any) -> Any:
    """A custom middleware, which keeps what it wraps in a place that nobody else knows."""

    async def middleware(scope, receive, send):
        await app(scope, receive, send)

    return middleware


class BehindAMember:
    """As `behind_a_function`, but an object."""

    def __init__(self, what):
        self._what_comes_next = what

    async def __call__(self, scope, receive, send):
        await self._what_comes_next(scope, receive, send)


BUILD: dict[str, Callable[[], Ask]] = {
    "Starlette, around": lambda: over_asgi(asgi.HourpassMiddleware(starlette(), **OPTIONS)),
    "Starlette, inside": lambda: over_asgi(starlette(middleware=INSIDE)),
    "FastAPI, around": lambda: over_asgi(asgi.HourpassMiddleware(fastapi(), **OPTIONS)),
    "FastAPI, inside": lambda: over_asgi(fastapi_inside()),
    "FastAPI with a root path of its own": lambda: over_asgi(asgi.HourpassMiddleware(fastapi_with_a_root(), **OPTIONS)),
    "Litestar, around": lambda: over_asgi(asgi.HourpassMiddleware(litestar_app(), **OPTIONS)),
    "Litestar, inside": lambda: over_asgi(
        litestar_app(
            middleware=[DefineMiddleware(asgi.HourpassMiddleware, **OPTIONS)],
            cors_config=CORSConfig(allow_origins=["*"]),
        )
    ),
    "Quart": lambda: over_asgi(asgi.HourpassMiddleware(quart(), **OPTIONS)),
    "Falcon, ASGI": lambda: over_asgi(asgi.HourpassMiddleware(falcon_app(falcon.asgi.App), **OPTIONS)),
    "Litestar, behind a function": lambda: over_asgi(
        asgi.HourpassMiddleware(behind_a_function(litestar_app()), **OPTIONS)
    ),
    "Quart, behind an object": lambda: over_asgi(asgi.HourpassMiddleware(BehindAMember(quart()), **OPTIONS)),
    "Falcon, behind both": lambda: over_asgi(
        asgi.HourpassMiddleware(BehindAMember(behind_a_function(falcon_app(falcon.asgi.App))), **OPTIONS)
    ),
    "Falcon, WSGI": lambda: over_wsgi(wsgi.HourpassMiddleware(falcon_app(falcon.App), **OPTIONS)),
    "Flask": lambda: over_wsgi(flask()),
    "Pyramid": lambda: over_wsgi(wsgi.HourpassMiddleware(pyramid(), **OPTIONS)),
    "Django, WSGI": lambda: django(over_wsgi, WSGIHandler, _django_view),
    "Django, ASGI": lambda: django(over_asgi, ASGIHandler, _django_view),
    "Django, around": lambda: django(over_asgi, ASGIHandler, _django_view, asgi.HourpassMiddleware),
    "Django with a script name of its own": lambda: django(
        over_asgi, ASGIHandler, _django_view, asgi.HourpassMiddleware, FORCE_SCRIPT_NAME="/api"
    ),
    "REST framework": lambda: django(over_wsgi, WSGIHandler, _rest_view),
}
"""Each framework, and each place in it that the middleware may have."""

WITH_A_ROOT = {name for name in BUILD if name.endswith("of its own")}
"""Those that are at `/api` although the server says otherwise."""

OVER_WSGI = {"Falcon, WSGI", "Flask", "Pyramid", "Django, WSGI", "REST framework"}
