"""Importing into a running server over its admin API: as the command on the database, and in whole transactions."""

import hmac
import json
import re
import socket
from pathlib import Path

import httpx2
import pytest
from tests.conftest import free_port, run_command
from tests.e2e.conftest import exchange
from tests.e2e.test_import import keys_file

from hourpass.server.keys.importing import TOGETHER

KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
OTHER = "sk_live_pL2sD7fG5hJ9kM3nB8vC"
SECRET = "the provider's"
HASHED = hmac.digest(SECRET.encode(), b"another key", "sha256").hex()

CSV = f"""key,name,scope,external_id
"{KEY}","two
lines",a,
{KEY},a,b,7

short,b,c,8
{OTHER},c,"a""b",9
{OTHER},d
{OTHER}:x,e,,10
"""
JSON = f"""
{{"hash": "{HASHED}", "algorithm": "hmac-sha256", "name": "a"}}
{{"key": "{KEY}", "name": "Łódź", "claims": {{"seats": 5}}, "allowed_ips": ["192.0.2.0/24"]}}

5
{{"key": "{OTHER}", "name": "b", "colour": "red"}}
"""
MORE_MEMORY = 30 * 1024
"""KiB that many rows may take beyond one transaction of them."""


@pytest.fixture
def server(serve, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    server = serve(admin_listen=address, exchange_limit=0)
    server.admin_url = f"http://{address}"
    server.admin_key = server.create_key("--admin", "operator")["api_key"]
    server.admin_key_file = tmp_path / "admin-key"
    server.admin_key_file.write_text(server.admin_key)
    server.admin_key_file.chmod(0o600)
    return server


def remotely(server):
    """`hourpass --server … keys import`, as a function."""
    named = ("--server", server.admin_url, "--admin-key-file", str(server.admin_key_file))
    return lambda *arguments, **options: run_command(*named, "keys", "import", *arguments, **options)


def locally(folder):
    """`hourpass keys import` on a database of its own, as a function. Its master key is made before."""
    run_command("keys", "create", "--name", "a", "--data", folder)
    return lambda *arguments, **options: run_command("keys", "import", *arguments, "--data", folder, **options)


def told(done, report=None):
    """What a command said, without what differs by nature: the ids of new keys, the time, and where it worked."""
    said = re.sub(r"\(\d+\.\d s\)|(Database|Server): .*|.* was made: .*", "…", done.stderr)
    lines = [] if report is None else [json.loads(line) for line in report.read_text().splitlines()]
    return done.returncode, done.stdout, said, [{**line, "key_id": "key_id" in line} for line in lines]


def test_the_command_says_the_same_on_a_server_as_on_a_database(server, tmp_path):
    (tmp_path / "keys.csv").write_text(CSV)
    (tmp_path / "keys.jsonl").write_text(JSON)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    report = tmp_path / "report"
    calls = [
        ("keys.csv", "--dry-run", "--json"),
        ("keys.csv", "--report", str(report), "--json"),
        ("keys.csv",),
        ("keys.jsonl", "--report", str(report)),
        ("keys.jsonl", "--hmac-secret-file", str(tmp_path / "secret"), "--report", str(report)),
    ]
    said = [
        [
            told(way(str(tmp_path / file), *rest, check=False), report if "--report" in rest else None)
            for file, *rest in calls
        ]
        for way in (remotely(server), locally(str(tmp_path / "own")))
    ]

    assert said[0] == said[1]
    assert [code for code, *_ in said[0]] == [1] * len(calls)
    assert [len(lines) for *_, lines in said[0]] == [0, 6, 0, 4, 4]
    assert exchange(server, f"{OTHER}:x").status_code == 200


def test_a_client_that_leaves_in_the_middle_leaves_whole_transactions(server, tmp_path):
    rows = 3 * TOGETHER
    keys = keys_file(tmp_path / "keys.csv", rows)
    body = "".join(json.dumps({"key": key, "name": "a"}) + "\n" for key in keys).encode()
    pair = httpx2.post(f"{server.admin_url}/auth/api-key", json={"apiKey": server.admin_key}).json()
    head = f"POST /admin/v1/keys/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {pair['access_token']}\r\n"
    host, port = server.admin_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as leaver:
        leaver.sendall(f"{head}expect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        assert leaver.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        leaver.sendall(body[: len(body) * 2 // 3])

    counts = json.loads(remotely(server)(str(tmp_path / "keys.csv"), "--json").stdout)

    assert counts["created"] % TOGETHER == 0
    assert sum(counts.values()) == counts["created"] + counts["unchanged"] + counts["updated"] == rows
    assert len(json.loads(server.command("keys", "list", "--json").stdout)) == rows + 1
    log = server.log.read_text()
    assert not [key for key in (*keys, KEY) if key in log]
    assert "Traceback" not in log


def peak(server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


@pytest.mark.slow
def test_the_memory_of_the_server_does_not_grow_with_the_import(server, tmp_path):
    keys_file(tmp_path / "many.csv", 15_000)
    lines = (tmp_path / "many.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(lines[:1_001]))
    remotely(server)(str(tmp_path / "few.csv"))
    few = peak(server)
    remotely(server)(str(tmp_path / "many.csv"))

    print(f"KiB: {few} for 1,000 rows, {peak(server)} for 15,000")
    assert peak(server) < few + MORE_MEMORY
