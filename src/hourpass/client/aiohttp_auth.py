"""The old name of `hourpass.client.auth.aiohttp`, kept for one version."""

import warnings

from hourpass.client.auth.aiohttp import HourpassAuth

__all__ = ["HourpassAuth"]

warnings.warn("use hourpass.client.auth.aiohttp", DeprecationWarning, stacklevel=2)
