"""The smuggling matrix: what one client hides in its bytes is carried out by nobody, and harms no other client.

What is hidden for the API bears no credential, because the API takes any request for one that hourpass agreed to.
What is hidden for hourpass is an exchange that only its forged address would allow.
"""

import base64
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.proxies.conftest import identity
from tests.proxies.proxies import Nginx
from tests.proxies.smuggling import attempts
from tests.proxies.wire import talk

ATTACKERS, INNOCENTS = 16, 4


class PassingNginx(Nginx):
    """An nginx that passes upgrades on to hourpass, as some ingress controllers do by default."""

    def file(self, name, **changes):
        lines = 'proxy_set_header Connection      "";\n            proxy_set_header Upgrade         "";'
        passing = (
            "proxy_set_header Connection      $http_connection;\n            proxy_set_header Upgrade $http_upgrade;"
        )
        return super().file(name, passing=(lines, passing), **changes)


@pytest.fixture(scope="module")
def hidden_key(hourpass):
    """A key that works from an address that nobody here has."""
    return hourpass.create_key("--scope", "videos.read", "--allow-ip", "203.0.113.9/32")


@pytest.fixture(scope="module")
def innocents(make_key):
    return [make_key("--scope", "videos.read") for _ in range(INNOCENTS)]


def subject(pair: dict[str, str]) -> str:
    payload = pair["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"]


class Innocent:
    """A client with two connections of its own, which knows what each of its answers must hold."""

    def __init__(self, proxy, key, under_attack: threading.Event) -> None:
        self.wrong: list[str] = []
        self.right = 0
        self._key = key
        self._under_attack = under_attack
        self._client = httpx2.Client(base_url=proxy.url, verify=proxy.verify, timeout=30, trust_env=False)

    def work(self) -> "Innocent":
        with self._client:
            while self._under_attack.is_set() or self.right < 20:
                self._ask(f"/videos/{self._key.key_id}-{self.right}")
        return self

    def _ask(self, path: str) -> None:
        page = self._client.get(path, headers=self._key.bearer)
        pair = self._client.post("/auth/api-key", json={"apiKey": self._key.api_key})
        good = (
            (page.status_code, pair.status_code) == (200, 200)
            and page.json()["path"] == path
            and identity(page)["hourpass-subject"] == self._key.key_id
            and subject(pair.json()) == self._key.key_id
        )
        if good:
            self.right += 1
        else:
            self.wrong.append(f"{path}: {page.status_code} {page.text[:200]}, {pair.status_code}")
            self.right += 1


def besiege(proxy, reader, hidden_key, innocents) -> tuple[list[tuple[str, bytes]], list[Innocent]]:
    """Make every attempt on the API and on hourpass, beside innocent traffic: what was answered, and the innocents."""
    exchange = b'{"apiKey":"%b"}' % hidden_key["api_key"].encode()
    for_hourpass = (
        b"POST /auth/api-key HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(exchange), exchange)
    )
    for_api = b"GET /hidden HTTP/1.1\r\nHost: x\r\nHourpass-Subject: forged\r\n\r\n"
    credential = b"Authorization: Bearer " + reader.access_token.encode()
    talks = [
        (f"{path.decode()}: {attempt.name}", attempt.sent(path, credential))
        for path, hidden in ((b"/anything", for_api), (b"/auth/api-key", for_hourpass))
        for attempt in attempts(hidden)
    ]
    under_attack = threading.Event()
    under_attack.set()
    with ThreadPoolExecutor(ATTACKERS) as attackers, ThreadPoolExecutor(INNOCENTS) as others:
        working = [others.submit(Innocent(proxy, key, under_attack).work) for key in innocents]
        try:
            told = [(name, attackers.submit(talk, proxy, *parts, patience=0.25)) for name, parts in talks]
            answered = [(name, talked.result().raw) for name, talked in told]
        finally:
            under_attack.clear()
        return answered, [innocent.result() for innocent in working]


def grants(hourpass, key_id: str) -> list:
    return json.loads(hourpass.command("grants", "list", "--all", "--key", key_id, "--json").stdout)


def judge(besieged, received, hourpass, reader, hidden_key, innocents) -> None:
    answered, working = besieged
    tags = [key.key_id.encode() for key in innocents]
    known = {reader.key_id, *(key.key_id for key in innocents)}

    assert [innocent.wrong for innocent in working] == [[]] * INNOCENTS
    assert grants(hourpass, hidden_key["key_id"]) == []
    assert [name for name, raw in answered if b"access_token" in raw or any(tag in raw for tag in tags)] == []
    assert received
    for request in received:
        names = Counter(name.lower() for name, _ in request["headers"])
        subjects = [value for name, value in request["headers"] if name.lower() == "hourpass-subject"]
        assert "hidden" not in request["path"], request
        assert names["hourpass-subject"] == 1, request
        assert subjects[0] in known, request
        assert not request.get("trailers"), request


def test_nothing_hidden_is_carried_out_and_no_answer_goes_astray(
    proxy, hourpass, reader, hidden_key, innocents, api_received
):
    besieged = besiege(proxy, reader, hidden_key, innocents)

    judge(besieged, api_received(), hourpass, reader, hidden_key, innocents)


def test_hourpass_takes_no_body_for_a_request_even_if_a_proxy_passes_upgrades_on(
    start, hourpass, reader, hidden_key, innocents, api_received
):
    proxy = start(PassingNginx, hourpass.port)
    try:
        besieged = besiege(proxy, reader, hidden_key, innocents)
    finally:
        proxy.stop()

    judge(besieged, api_received(), hourpass, reader, hidden_key, innocents)


def test_the_hidden_exchange_would_show(hourpass, hidden_key):
    """Else the tests above could not fail: from the forged address the key works."""
    before = grants(hourpass, hidden_key["key_id"])
    answer = httpx2.post(
        f"{hourpass.url}/auth/api-key",
        json={"apiKey": hidden_key["api_key"]},
        headers={"X-Forwarded-For": "203.0.113.9"},
        trust_env=False,
    )

    assert answer.status_code == 200
    assert before == []
    assert len(grants(hourpass, hidden_key["key_id"])) == 1
