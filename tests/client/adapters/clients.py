"""Every HTTP library that an adapter serves, behind one call, so that one test holds for all of them."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx
import httpx2
import requests

import hourpass.client.auth.aiohttp
import hourpass.client.auth.httpx
import hourpass.client.auth.httpx2
import hourpass.client.auth.requests

IN_MEMORY = ("bytes", "str", "json", "form", "multipart")


class Reply(NamedTuple):
    status: int
    text: str


class Client:
    """One client with an adapter on one source. `kinds` are the bodies that its library can send at all."""

    kinds: tuple[str, ...]

    def send(self, method: str, url: str, *, headers=None, kind="none", body=None) -> Reply:
        """One request, redirects followed."""
        raise NotImplementedError

    def send_many(self, count: int, method: str, url: str) -> list[Reply]:
        """So many at the same time."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Threads(Client):
    def send_many(self, count, method, url):
        with ThreadPoolExecutor(count) as pool:
            return [one.result(60) for one in [pool.submit(self.send, method, url) for _ in range(count)]]


class _Loop(Client):
    """A library for asyncio. The loop runs only during a request."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()

    async def request(self, method, url, headers=None, kind="none", body=None) -> Reply:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError

    def send(self, method, url, **options):
        return self.runner.run(self.request(method, url, **options))

    def send_many(self, count, method, url):
        async def all_of_them():
            return await asyncio.gather(*[self.request(method, url) for _ in range(count)])

        return self.runner.run(all_of_them())

    def close(self):
        self.runner.run(self.end())
        self.runner.close()


def _tls(certificate: Path | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=certificate) if certificate else False


def _for_httpx(kind: str, body) -> dict:
    match kind:
        case "none":
            return {}
        case "json":
            return {"json": body}
        case "form":
            return {"data": body}
        case "multipart":
            return {"files": {"file": body}}
        case _:
            return {"content": body}


def _httpx_options(library, auth, certificate) -> dict:
    limits = library.Limits(max_connections=None)
    return {
        "auth": auth, "verify": _tls(certificate), "follow_redirects": True, "trust_env": False, "limits": limits,
        "timeout": 30,
    }  # fmt: skip


class Httpx(_Threads):
    kinds = (*IN_MEMORY, "file", "generator", "pipe")
    library, auth = httpx2, hourpass.client.auth.httpx2.HourpassAuth

    def __init__(self, source, certificate=None) -> None:
        self.client = self.library.Client(**_httpx_options(self.library, self.auth(source), certificate))

    def send(self, method, url, *, headers=None, kind="none", body=None):
        response = self.client.request(method, url, headers=headers, **_for_httpx(kind, body))
        return Reply(response.status_code, response.text)

    def close(self):
        self.client.close()


class HttpxAsync(_Loop):
    kinds = (*IN_MEMORY, "async generator")
    library, auth = httpx2, hourpass.client.auth.httpx2.HourpassAuth

    def __init__(self, source, certificate=None) -> None:
        super().__init__()
        self.client = self.library.AsyncClient(**_httpx_options(self.library, self.auth(source), certificate))

    async def request(self, method, url, headers=None, kind="none", body=None):
        response = await self.client.request(method, url, headers=headers, **_for_httpx(kind, body))
        return Reply(response.status_code, response.text)

    async def end(self):
        await self.client.aclose()


class ClassicHttpx(Httpx):
    library, auth = httpx, hourpass.client.auth.httpx.HourpassAuth


class ClassicHttpxAsync(HttpxAsync):
    library, auth = httpx, hourpass.client.auth.httpx.HourpassAuth


class Requests(_Threads):
    kinds = (*IN_MEMORY, "file", "generator", "pipe")

    def __init__(self, source, certificate=None) -> None:
        self.client = requests.Session()
        self.client.trust_env = False
        self.client.verify = str(certificate) if certificate else False
        self.client.auth = hourpass.client.auth.requests.HourpassAuth(source)
        self.client.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=256))

    def send(self, method, url, *, headers=None, kind="none", body=None):
        named = {"none": {}, "json": {"json": body}, "multipart": {"files": {"file": body}}}
        response = self.client.request(method, url, headers=headers, timeout=30, **named.get(kind, {"data": body}))
        return Reply(response.status_code, response.text)

    def close(self):
        self.client.close()


class Aiohttp(_Loop):
    kinds = (*IN_MEMORY, "file", "async generator", "pipe")

    def __init__(self, source, certificate=None) -> None:
        super().__init__()
        self.client = self.runner.run(self.start(source, certificate))

    async def start(self, source, certificate):
        connector = aiohttp.TCPConnector(limit=0, ssl=_tls(certificate))
        return aiohttp.ClientSession(
            connector=connector, middlewares=[hourpass.client.auth.aiohttp.HourpassAuth(source)]
        )

    async def request(self, method, url, headers=None, kind="none", body=None):
        match kind:
            case "none":
                named = {}
            case "json":
                named = {"json": body}
            case "multipart":
                form = aiohttp.FormData()
                form.add_field("file", body, filename="file")
                named = {"data": form}
            case _:
                named = {"data": body}
        async with self.client.request(method, url, headers=headers, **named) as response:
            return Reply(response.status, await response.text())

    async def end(self):
        await self.client.close()


CLIENTS = {
    "httpx2": Httpx,
    "httpx2 async": HttpxAsync,
    "httpx": ClassicHttpx,
    "httpx async": ClassicHttpxAsync,
    "requests": Requests,
    "aiohttp": Aiohttp,
}
