"""The path by which the application behind a middleware routes.

The server may mount the application below a root path, and each framework removes that in its own way. If the guard
read another path than the router, it would ask for the scopes of another route.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

ODD = "//"
"""Stands for a path that can be read in more than one way: it is never public, and needs every scope."""


class Reader:
    """Reads the path of ASGI scopes as the framework of `app` does. Finds `app` behind other middleware too."""

    def __init__(self, app: object) -> None:
        self._app = found = _innermost(app)
        self._framework = _framework_of(found)

    def read(self, scope: Mapping[str, Any]) -> str:
        """The path that the application routes by. `ODD` if the root path is in it, but not at the front."""
        path: str = scope["path"]
        if self._framework == "litestar" and not hasattr(self._app, "routes"):
            return _routed_by_litestar(scope)
        root = self._own_root() or scope.get("root_path") or ""
        if not root:
            found = path or "/"
        elif not _leads(root, path) and f"{root}/" in f"{path[1:]}/":
            return ODD
        else:
            found = _TAKE_OFF.get(self._framework, _at_a_segment)(path, root)
        if self._framework == "litestar" and _enters_a_mount_inside_a_segment(self._app, found):
            return ODD
        return found

    def _own_root(self) -> str:
        """The root path that the application itself sets instead of the server's."""
        if self._framework == "django":
            from django.conf import settings  # type: ignore[import-untyped]  # noqa: PLC0415 - only if it is there

            return settings.FORCE_SCRIPT_NAME or ""
        own = getattr(self._app, "root_path", "") if self._framework == "fastapi" else ""
        return own if isinstance(own, str) else ""


def path_of_environ(environ: Mapping[str, Any]) -> str:
    """The path that a WSGI application routes by (PEP 3333: bytes, as if they were Latin-1)."""
    if "HTTP_X_VHM_ROOT" in environ:
        # Pyramid's traversal puts it in front of the path, even if a client sent it.
        return ODD
    try:
        return (environ.get("PATH_INFO") or "/").encode("latin-1").decode()
    except UnicodeError:
        return ODD


def _at_a_segment(path: str, root: str) -> str:
    rest = path.removeprefix(root)
    return rest or "/" if rest[:1] in ("", "/") else path


def _at_any_character(path: str, root: str) -> str:
    return path.removeprefix(root)


def _quart(path: str, root: str) -> str:
    # Quart finds nothing that is not below the root path. Its router adds a slash in front.
    return _with_slash(path.removeprefix(root)) if path.startswith(root) and path != root else ODD


def _litestar(path: str, root: str) -> str:
    return _with_slash(path.split(root, maxsplit=1)[-1])


def _whole(path: str, root: str) -> str:
    return path or "/"


_TAKE_OFF: dict[str, Callable[[str, str], str]] = {
    "fastapi": _at_a_segment,
    "starlette": _at_a_segment,
    "django": _at_any_character,
    "quart": _quart,
    "litestar": _litestar,
    "falcon": _whole,
}
"""How each framework removes the root path. By ASGI itself, it is removed only as whole segments."""


def _routed_by_litestar(scope: Mapping[str, Any]) -> str:
    """Litestar runs its middleware after its router, and leaves in the scope the path that it routed by.

    For a mounted application that is only the rest of the path.
    """
    path: str = scope["path"]
    if not getattr(scope.get("route_handler"), "is_mount", False):
        return path
    whole = unquote(bytes(scope.get("raw_path") or b"").decode("latin-1").partition("?")[0])
    found = _litestar(whole, scope["root_path"]) if scope.get("root_path") else whole
    return found if path.startswith("/") and found.rstrip("/").endswith(path.rstrip("/")) else ODD


def _enters_a_mount_inside_a_segment(app: Any, path: str) -> bool:
    """Whether Litestar would read `/subway` as `way` below a mount at `/sub`."""
    mounts = (route.path for route in app.routes if getattr(getattr(route, "route_handler", None), "is_mount", False))
    return any(path.startswith(mount) and not _leads(mount, path) for mount in mounts)


def _leads(root: str, path: str) -> bool:
    return f"{path}/".startswith(root.rstrip("/") + "/")


def _with_slash(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _innermost(app: object) -> object:
    """The application itself, without the middleware around it."""
    waiting, seen, last = [app], set[int](), app
    while waiting and len(seen) < _MOST:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        try:
            inner = next((found for name in _INSIDE if (found := getattr(one, name, None)) is not None), None)
            held = _held(one)
        except Exception:  # noqa: BLE001, S112 - a proxy for an object that does not exist yet may raise anything
            continue
        if inner is not None:
            # Look at a member with a known name before all the others.
            waiting.insert(0, inner)
            last = inner
        elif _framework_of(one):
            return one
        waiting += held
    return last


_INSIDE = ("app", "_app", "asgi_application", "__self__", "func", "__wrapped__")
"""The attributes in which middleware, bound methods and partial functions keep what they wrap."""

_MOST = 200
"""The most objects to look at, because your own middleware may keep what it wraps anywhere."""


def _held(one: object) -> list[object]:
    """The callables that a function closes over, or that an object has as members. One may be the application."""
    held = list(getattr(one, "__dict__", {}).values())
    for cell in getattr(one, "__closure__", None) or ():
        with suppress(ValueError):  # the cell is still empty
            held.append(cell.cell_contents)
    return [each for each in held if callable(each) and not issubclass(type(each), type)]


def _framework_of(app: object) -> str:
    packages = (kind.__module__.partition(".")[0] for kind in type(app).__mro__)
    return next((name for name in packages if name in _TAKE_OFF), "")
