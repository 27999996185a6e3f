"""The whole way of a provider who has customers already: in with their keys, off the wire, and on to keys of ours.

Ten thousand keys that another system hashed come in behind nginx. Some of their owners send requests all the time, with
the key in `X-API-Key`, as they did before. They move to tokens one by one, then raw use ends for each key, then all
keys are rotated. No request fails on the way.
"""

import csv
import hashlib
import json
import random
import re
import threading
import time

import httpx2
import pytest
from tests.conftest import ServerProcess, free_port, run_command
from tests.proxies.conftest import ISSUER, identity
from tests.proxies.proxies import Nginx

KEYS = 10_000
BUSY = 24
"""Customers that send requests throughout."""

CHANCE = random.Random(16)


class Customer(threading.Thread):
    """Sends requests all the time, in the way that it knows now. Remembers every answer that is not a good one."""

    def __init__(self, url: str, number: int, api_key: str) -> None:
        super().__init__(daemon=True)
        self.api_key = api_key
        self.number = number
        self.failed: list[str] = []
        self.answered = 0
        self.by_token = False
        self._pair: dict[str, str] = {}
        self._http = httpx2.Client(base_url=url, trust_env=False, verify=False, timeout=20)
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.05):
            if self.by_token and CHANCE.random() < 0.2:
                self._pair = self._tokens("/auth/refresh", {"refreshToken": self._pair["refresh_token"]})
            credential = (
                {"Authorization": f"Bearer {self._pair['access_token']}"}
                if self.by_token
                else {"X-API-Key": self.api_key}
            )
            answer = self._http.get("/videos/1", headers=credential)
            self._expect(answer)
            if answer.status_code == 200 and identity(answer)["hourpass-subject"] != f"account-{self.number}":
                self.failed.append("an answer of another customer")
            self.answered += 1

    def move_to_tokens(self, api_key: str) -> None:
        """Exchange a key, and use its tokens from now on."""
        self._pair = self._tokens("/auth/api-key", {"apiKey": api_key})
        self.api_key, self.by_token = api_key, True

    def _tokens(self, path: str, body: dict[str, str]) -> dict[str, str]:
        answer = self._http.post(path, json=body)
        self._expect(answer)
        return answer.json()

    def _expect(self, answer: httpx2.Response) -> None:
        if answer.status_code != 200:
            self.failed.append(
                f"{answer.request.url.path}: {answer.status_code} {answer.headers.get('www-authenticate')}"
            )

    def end(self) -> None:
        self._done.set()
        self.join(30)
        self._http.close()


@pytest.fixture
def own(tmp_path):
    """A server of this test's own, which takes keys in the provider's header, and tells its metrics."""
    flags = {"issuer": ISSUER, "exchange-limit": 0, "api-key-sources": "header:X-API-Key"}
    server = ServerProcess(
        tmp_path / "data", tmp_path / "log", {**flags, "admin-listen": f"127.0.0.1:{free_port()}"}, {}
    )
    yield server.start()
    assert server.stop() == 0


def accepted(server: ServerProcess, kind: str) -> float:
    metrics = httpx2.get(f"http://{server._flags['admin-listen']}/metrics", trust_env=False).text
    return float(re.search(rf'hourpass_credentials_accepted_total{{kind="{kind}"}} ([0-9.e+]+)', metrics)[1])


def later(customers: list[Customer], more: int = 5) -> None:
    """Until every customer had so many answers more."""
    before = [customer.answered for customer in customers]
    deadline = time.monotonic() + 60
    while any(customer.answered < was + more for customer, was in zip(customers, before, strict=True)):
        assert time.monotonic() < deadline, [customer.failed for customer in customers]
        time.sleep(0.05)


def pages(ids: list[str], size: int = 1_000) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def test_a_provider_moves_in_and_no_request_of_its_customers_fails(start, own, tmp_path):
    keys = [f"sk_live_{CHANCE.getrandbits(160):040x}" for _ in range(KEYS)]
    with (tmp_path / "keys.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["hash", "algorithm", "name", "subject", "scope", "external_id"])
        for number, key in enumerate(keys):
            digest = hashlib.sha256(key.encode()).hexdigest()
            rows.writerow([digest, "sha256", f"customer {number}", f"account-{number}", "videos.read", number])
    data = ("--data", str(own.data))

    imported = json.loads(run_command("keys", "import", str(tmp_path / "keys.csv"), "--json", *data).stdout)
    assert (imported["created"], imported["failed"]) == (KEYS, 0)
    time.sleep(1)  # by now a running server accepts them

    nginx = start(Nginx, own.port)
    customers = [Customer(nginx.url, number, keys[number]) for number in CHANCE.sample(range(KEYS), BUSY)]
    try:
        for customer in customers:
            customer.start()
        later(customers)
        assert accepted(own, "api_key") > 0

        for customer in customers:
            customer.move_to_tokens(customer.api_key)
        later(customers, more=1)
        raw = accepted(own, "api_key")
        later(customers)
        assert accepted(own, "api_key") == raw, "raw use has not fallen to zero"

        listed = json.loads(run_command("keys", "list", "--json", *data).stdout)
        ids = {key["subject"]: key["key_id"] for key in listed}
        assert len(ids) == KEYS
        for page in pages(list(ids.values())):
            run_command("keys", "update", *page, "--raw-until", "2020-01-01", *data)
        later(customers)
        time.sleep(1)
        refused = httpx2.get(f"{nginx.url}/videos/1", headers={"X-API-Key": customers[0].api_key}, verify=False)
        assert (refused.status_code, "exchange_required" in refused.headers["www-authenticate"]) == (401, True)

        rotated: dict[str, str] = {}
        for page in pages(list(ids.values())):
            told = run_command("keys", "rotate", *page, "--json", *data).stdout.splitlines()
            rotated |= {fact["key_id"]: fact["api_key"] for fact in map(json.loads, told)}
        assert len(rotated) == KEYS
        for customer in customers:
            customer.move_to_tokens(rotated[ids[f"account-{customer.number}"]])
        waiting = json.loads(run_command("keys", "list", "--next-waits", "--json", *data).stdout)
        assert len(waiting) == KEYS - BUSY
        later(customers)
    finally:
        for customer in customers:
            customer.end()
        nginx.stop()

    assert [customer.failed for customer in customers if customer.failed] == []
    assert all(customer.api_key.startswith("hp_production_") for customer in customers)
    print(f"{sum(customer.answered for customer in customers)} requests, none failed")
