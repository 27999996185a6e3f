"""The old name of `hourpass.client.auth.requests`, kept for one version."""

import warnings

from hourpass.client.auth.requests import HourpassAuth

__all__ = ["HourpassAuth"]

warnings.warn("use hourpass.client.auth.requests", DeprecationWarning, stacklevel=2)
