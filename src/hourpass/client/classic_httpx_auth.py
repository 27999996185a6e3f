"""The old name of `hourpass.client.auth.httpx`, kept for one version."""

import warnings

from hourpass.client.auth.httpx import HourpassAuth

__all__ = ["HourpassAuth"]

warnings.warn("use hourpass.client.auth.httpx", DeprecationWarning, stacklevel=2)
