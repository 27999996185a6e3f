"""The 401 strategy for the classic httpx, sync and async. Only httpx2 accepts the class of `auth.httpx2`."""

import httpx

from hourpass.client.auth.httpx2 import HourpassFlow


class HourpassAuth(HourpassFlow, httpx.Auth):
    """As `hourpass.client.auth.httpx2.HourpassAuth`."""
