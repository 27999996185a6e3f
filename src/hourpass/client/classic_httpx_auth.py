"""The 401 strategy for the classic httpx, sync and async: as `httpx_auth`, whose class httpx2 alone accepts."""

import httpx

from hourpass.client.httpx_auth import HourpassFlow


class HourpassAuth(HourpassFlow, httpx.Auth):
    """As `hourpass.client.httpx_auth.HourpassAuth`."""
