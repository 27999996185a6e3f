"""Storage trouble is 503, never bad credentials, and it passes by itself (contract.md; grants.md, invariant 4)."""

import resource

import apsw
import httpx2


def exchange(server, api_key: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": api_key}, timeout=10)


def test_a_database_locked_by_another_process_is_503_and_recovers(serve):
    server = serve()
    api_key = server.create_key()["api_key"]
    token = exchange(server, api_key).json()["access_token"]
    other = apsw.Connection(str(server.data / "hourpass.db"))
    other.execute("begin immediate")

    refused = exchange(server, api_key)
    verified = httpx2.get(f"{server.url}/auth/verify", headers={"authorization": f"Bearer {token}"})
    other.execute("rollback")
    other.close()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert verified.status_code == 204
    assert exchange(server, api_key).status_code == 200


def test_a_full_disk_is_503_and_recovers(serve):
    """Files may not grow past a limit, as on a full disk; then they may again."""
    server = serve()
    api_key = server.create_key()["api_key"]
    pair = exchange(server, api_key).json()
    log_size = (server.data / "hourpass.db-wal").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (log_size, resource.RLIM_INFINITY))

    refused = [exchange(server, api_key).status_code for _ in range(3)]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert set(refused) == {503}
    assert exchange(server, api_key).status_code == 200
    refreshed = httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]})
    assert refreshed.status_code == 200
