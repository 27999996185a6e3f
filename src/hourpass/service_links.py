"""Recognises Kubernetes' service links: variables that the kubelet sets in each container for every Service of its
namespace.

For a Service called `hourpass` they begin like our settings, and one of them, HOURPASS_PORT, has the name of a setting.
Name and value together tell them apart, so a misspelt setting is still an error.
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address

_URL = re.compile(r"(?:tcp|udp|sctp)://(?:\[([^\]]+)\]|([^:]+)):[0-9]{1,5}")


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_number(value: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", value) is not None


def _is_protocol(value: str) -> bool:
    return value in ("tcp", "udp", "sctp")


def _is_url(value: str) -> bool:
    found = _URL.fullmatch(value)
    return found is not None and _is_address(found[1] or found[2])


_SERVICE = "HOURPASS(?:_[A-Z0-9_]+)?"
_PORT = f"{_SERVICE}_PORT_[0-9]+_(?:TCP|UDP|SCTP)"
_LINKS = (
    (re.compile(f"{_SERVICE}_SERVICE_HOST|{_PORT}_ADDR"), _is_address),
    (re.compile(f"{_SERVICE}_SERVICE_PORT(?:_[A-Z0-9_]+)?|{_PORT}_PORT"), _is_number),
    (re.compile(f"{_PORT}_PROTO"), _is_protocol),
    (re.compile(f"{_SERVICE}_PORT|{_PORT}"), _is_url),
)
"""One name may match two patterns: a Service called `hourpass-service` has HOURPASS_SERVICE_PORT=tcp://…"""


def is_service_link(name: str, value: str) -> bool:
    """Whether the kubelet set this variable for a Service whose name is `hourpass` or begins with `hourpass-`."""
    return any(pattern.fullmatch(name) and fits(value) for pattern, fits in _LINKS)


def service_links(environ: Mapping[str, str]) -> list[str]:
    """The names of all service links in an environment, sorted."""
    return sorted(name for name, value in environ.items() if is_service_link(name, value))


def note_on_service_links(environ: Mapping[str, str]) -> str:
    """One sentence that names the ignored variables. Empty if there are none."""
    names = service_links(environ)
    if not names:
        return ""
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return (
        f"{names[0]}{more} is passed over: a Kubernetes service link, not a setting; enableServiceLinks: false omits it"
    )
