"""docs/runbooks/master-key.md: the key was deleted, and had leaked. tests/systemd has the part about a credential."""

import os

import pytest
from tests.e2e.conftest import exchange, generation, refresh, verify

STATUS = "hourpass master-key status"
COPY = "/media/safe/master.key"


def test_a_copy_of_the_key_brings_the_server_back_and_a_new_key_takes_its_place(
    serve, prometheus, open_runbook, await_symptom, tmp_path
):
    server = serve(admin_listen=prometheus.target())
    pair = exchange(server, server.create_key()["api_key"]).json()
    prometheus.await_scraped(server.admin)
    lost = server.data / "master.key"
    copy = tmp_path / "copy"
    copy.write_bytes(lost.read_bytes())
    lost.unlink()
    assert verify(server, pair["access_token"]) == 204
    server.stop()
    with pytest.raises(RuntimeError, match="is missing"):
        server.restart()
    book = open_runbook(
        "master-key",
        server,
        {COPY: str(copy), "-o hourpass -g hourpass": f"-o {os.getuid()} -g {os.getgid()}"},
        {"systemctl start hourpass": server.restart},
    )
    book.leave_out("hourpass-as-server", "/etc/hourpass/", "systemctl restart hourpass")
    await_symptom(book, server)

    book.run(fails={STATUS: 1})
    book.await_over()

    assert lost.read_bytes() != copy.read_bytes()
    assert verify(server, pair["access_token"]) == 204
    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 1
