"""The Django middleware, configured by the project's settings.

    MIDDLEWARE = ["hourpass.verifier.django.HourpassMiddleware", ...]
    HOURPASS = {"issuer": "https://auth.example.com", "audience": "https://api.example.com", "public": ["/health"]}

Views find who the request is from in `request.hourpass`. For Django REST framework see `rest_framework.py`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings  # type: ignore[import-untyped]
from django.http import HttpRequest, HttpResponse  # type: ignore[import-untyped]
from django.utils.module_loading import import_string  # type: ignore[import-untyped]

from hourpass.core.errors import ConfigurationError, HourpassError
from hourpass.verifier.guard import Guard, Identity, Refusal, admit
from hourpass.verifier.remote import Verifier
from hourpass.verifier.wsgi import ApiKeyPolicy, cleanse, identify, vouch

_GUARD = ("realm", "public", "scope", "scopes", "preflights")
_VERIFIER = ("issuer", "audience", "staleness", "url", "max_lifetime", "tls")


class Configured(NamedTuple):
    """What the setting `HOURPASS` makes: one for each process."""

    verifier: Verifier
    guard: Guard
    api_keys: ApiKeyPolicy | None


@cache
def configured() -> Configured:
    """The verifier and its guard. `api_keys` may be a callable or its dotted name; `verifier` an object of your own.

    Raises:
        ConfigurationError: where the setting is missing or has a member that is not known.
    """
    options: dict[str, Any] = dict(getattr(settings, "HOURPASS", {}))
    unknown = set(options) - {*_GUARD, *_VERIFIER, "verifier", "api_keys"}
    if unknown or not options:
        raise ConfigurationError(f"HOURPASS is not set, or has unknown members: {', '.join(sorted(unknown))}")
    policy = options.get("api_keys")
    return Configured(
        verifier=options.get("verifier") or Verifier(**{name: options[name] for name in _VERIFIER if name in options}),
        guard=Guard(**{name: options[name] for name in _GUARD if name in options}),
        api_keys=import_string(policy) if isinstance(policy, str) else policy,
    )


class HourpassMiddleware:
    """Judges every request before the view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._configured = configured()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One request."""
        verifier, guard, api_keys = self._configured
        cleanse(request.META)
        preflight = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        request.hourpass = None
        if guard.passes(request.method, request.path_info, preflight=preflight):
            return self._get_response(request)
        identity: Identity | None = None
        try:
            identity = identify(guard, verifier, api_keys, request.META)
            if identity is not None:
                admit(identity, guard.needed(request.method, request.path_info))
        except HourpassError as error:
            return _response(guard.refusal(error))
        if identity is None:
            return _response(guard.refusal(None))
        vouch(request.META, identity)
        request.hourpass = identity
        return self._get_response(request)


def _response(refusal: Refusal) -> HttpResponse:
    response = HttpResponse(refusal.body, status=refusal.status)
    for name, value in refusal.headers:
        response[name] = value
    return response
