"""Django REST framework: the authentication class and a permission for scopes.

    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["hourpass.verifier.rest_framework.HourpassAuthentication"]}

    class Videos(APIView):
        permission_classes = [scope("videos.read")]

It reads the setting `HOURPASS`, as the middleware does, and works with it or alone. The identity is `request.auth`.
"""

import sys
from collections.abc import Iterable
from typing import Any

from rest_framework.authentication import BaseAuthentication  # type: ignore[import-untyped]
from rest_framework.exceptions import APIException  # type: ignore[import-untyped]
from rest_framework.permissions import BasePermission  # type: ignore[import-untyped]

from hourpass.core.errors import HourpassError, InsufficientScope, Unavailable
from hourpass.verifier.django import configured
from hourpass.verifier.guard import Guard, Identity, Refusal, admit
from hourpass.verifier.wsgi import identify


class Caller:
    """`request.user`: the subject of the token. It has no row in the database.

    It has the attributes that frameworks expect of a user. The token's scopes are its permissions, so it has none of
    Django's.
    """

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False
    password = last_login = backend = None

    def __init__(self, identity: Identity) -> None:
        self.pk = self.id = self.username = identity.sub

    def get_username(self) -> str:
        """The subject."""
        return self.pk

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Always False."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        """True only for an empty list."""
        return not list(perm_list)

    def has_module_perms(self, module: str) -> bool:
        """Always False."""
        return False

    def get_user_permissions(self, obj: Any = None) -> set[str]:
        """Always empty."""
        return set()

    get_group_permissions = get_all_permissions = get_user_permissions

    def __str__(self) -> str:
        """The subject."""
        return self.pk

    def __eq__(self, other: object) -> bool:
        """Whether both are the same subject."""
        return isinstance(other, Caller) and self.pk == other.pk

    def __hash__(self) -> int:
        """The same for the same subject."""
        return hash(self.pk)


class RefusalException(APIException):  # type: ignore[misc]
    """A refusal with its own status and challenge. REST framework's own exceptions would lose the error code."""

    def __init__(self, refusal: Refusal, title: str) -> None:
        super().__init__(title)
        self.status_code = refusal.status
        headers = dict(refusal.headers)
        if "WWW-Authenticate" in headers:
            self.auth_header = headers["WWW-Authenticate"]
        if "Retry-After" in headers:
            self.wait = int(headers["Retry-After"])


class HourpassAuthentication(BaseAuthentication):  # type: ignore[misc]
    """Finds who sent the request: `(Caller, Claims)`, or None if it has no credential that is accepted."""

    def __init__(self) -> None:
        if "drf_spectacular" in sys.modules:
            # The import tells drf-spectacular what to write about this class. It would be too early when the class is
            # made.
            import hourpass.verifier.spectacular  # noqa: F401, PLC0415

    def authenticate(self, request: Any) -> tuple[Caller, Identity] | None:
        """Judge the request, unless the middleware has done so."""
        verifier, guard, api_keys, sources = configured()
        identity: Identity | None = getattr(request._request, "hourpass", None)  # noqa: SLF001 - REST framework's own way to it
        try:
            if identity is None:
                identity = identify(verifier, api_keys, sources, request.META)
        except HourpassError as error:
            raise _refused(guard, error) from error
        return None if identity is None else (Caller(identity), identity)

    def authenticate_header(self, request: Any) -> str:
        """The challenge if no credential came. It has no error code then (RFC 6750 §3)."""
        return dict(configured().guard.refusal(None).headers)["WWW-Authenticate"]


def scope(needed: str) -> type[BasePermission]:
    """A permission class: the identity must have all of these scopes, space-separated."""

    class HasScope(BasePermission):  # type: ignore[misc]
        def has_permission(self, request: Any, view: Any) -> bool:
            if request.auth is None:
                return False
            try:
                admit(request.auth, needed)
            except InsufficientScope as error:
                raise _refused(configured().guard, error) from error
            return True

    return HasScope


def _refused(guard: Guard, error: HourpassError) -> RefusalException:
    refusal = guard.refusal(error)
    return RefusalException(refusal, "Unavailable." if isinstance(error, Unavailable) else "Not accepted.")
