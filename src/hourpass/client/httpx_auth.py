"""The old name of `hourpass.client.auth.httpx2`, kept for one version."""

import warnings

from hourpass.client.auth.httpx2 import HourpassAuth

__all__ = ["HourpassAuth"]

warnings.warn("use hourpass.client.auth.httpx2", DeprecationWarning, stacklevel=2)
