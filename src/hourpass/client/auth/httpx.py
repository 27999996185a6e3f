"""The 401 strategy for the classic httpx, sync and async: as `auth.httpx2`, whose class httpx2 alone accepts."""

import httpx

from hourpass.client.auth.httpx2 import HourpassFlow


class HourpassAuth(HourpassFlow, httpx.Auth):
    """As `hourpass.client.auth.httpx2.HourpassAuth`."""
