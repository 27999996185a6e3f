"""The Django middleware. The project's settings configure it.

    MIDDLEWARE = ["hourpass.verifier.django.HourpassMiddleware", ...]
    HOURPASS = {"issuer": "https://auth.example.com", "audience": "https://api.example.com", "public": ["/health"]}

Views find the sender of the request in `request.hourpass`. Works under WSGI and ASGI. For Django REST framework see
`rest_framework.py`.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings  # type: ignore[import-untyped]
from django.http import HttpRequest, HttpResponse  # type: ignore[import-untyped]
from django.utils.module_loading import import_string  # type: ignore[import-untyped]

from hourpass.core.authorization import KeySources
from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.verifier import asgi, wsgi
from hourpass.verifier.guard import Guard, Identity, Refusal, admit, key_sources
from hourpass.verifier.verifier import Verifier

_GUARD = ("realm", "public", "scope", "scopes", "preflights")
_CONNECTION = ("url", "tls", "allow_http", "proxy", "timeout")
_VERIFIER = ("issuer", "audience", "environment", "staleness", "max_lifetime", "leeway", *_CONNECTION)


class Configured(NamedTuple):
    """The objects that the setting `HOURPASS` makes, once for each process."""

    verifier: Verifier
    guard: Guard
    api_keys: Any
    sources: KeySources


@cache
def configured() -> Configured:
    """The verifier and its guard. `api_keys` may be a callable or its dotted name. `verifier` may be your own object.

    Raises:
        ConfigurationError: the setting is missing, or has an unknown member.
    """
    options: dict[str, Any] = dict(getattr(settings, "HOURPASS", {}))
    unknown = set(options) - {*_GUARD, *_VERIFIER, "verifier", "api_keys", "api_key_sources"}
    if unknown or not options:
        raise ConfigurationError(f"HOURPASS is not set, or has unknown members: {', '.join(sorted(unknown))}")
    policy = options.get("api_keys")
    return Configured(
        verifier=options.get("verifier") or Verifier(**{name: options[name] for name in _VERIFIER if name in options}),
        guard=Guard(**{name: options[name] for name in _GUARD if name in options}),
        api_keys=import_string(policy) if isinstance(policy, str) else policy,
        sources=key_sources(options.get("api_key_sources"), with_policy=policy is not None),
    )


class HourpassMiddleware:
    """Judges every request before the view. It is a coroutine if the next middleware or the view is one."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._verifier, self._guard, self._api_keys, self._sources = configured()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Handle one request."""
        if self._is_async:
            return self._call_async(request)
        if self._passes(request):
            return self._get_response(request)
        try:
            identity = wsgi.identify(self._verifier, self._api_keys, self._sources, request.META)
            self._admit(request, identity)
        except HourpassError as error:
            return _response(self._guard.refusal(error))
        return _response(self._guard.refusal(None)) if identity is None else self._get_response(request)

    async def _call_async(self, request: HttpRequest) -> HttpResponse:
        if self._passes(request):
            return await self._get_response(request)
        headers = wsgi.presented(request.META, self._sources)
        try:
            identity = await asgi.identify(
                self._verifier, self._api_keys, self._sources, headers, [request.META.get("REMOTE_ADDR")]
            )
            self._admit(request, identity)
        except HourpassError as error:
            return _response(self._guard.refusal(error))
        return _response(self._guard.refusal(None)) if identity is None else await self._get_response(request)

    def _passes(self, request: HttpRequest) -> bool:
        wsgi.cleanse(request.META)
        _put(request, asgi.cleansed(_raw(request)), None)
        preflight = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        return self._guard.passes(request.method, request.path_info, preflight=preflight)

    def _admit(self, request: HttpRequest, identity: Identity | None) -> None:
        if identity is not None:
            admit(identity, self._guard.needed(request.method, request.path_info))
            wsgi.vouch(request.META, identity)
            _put(request, [*_raw(request), *asgi.vouched(identity)], identity)


def _raw(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    """The headers as they came, under ASGI."""
    return list(request.scope["headers"]) if hasattr(request, "scope") else []


def _put(request: HttpRequest, raw: list[tuple[bytes, bytes]], identity: Identity | None) -> None:
    request.hourpass = identity
    if hasattr(request, "scope"):
        request.scope["headers"] = raw
    # Django caches the headers once an earlier middleware has looked at them.
    request.__dict__.pop("headers", None)


def _response(refusal: Refusal) -> HttpResponse:
    response = HttpResponse(refusal.body, status=refusal.status)
    for name, value in refusal.headers:
        response[name] = value
    return response
