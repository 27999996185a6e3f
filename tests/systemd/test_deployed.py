"""docs/how-to/deploy-systemd.md, every command of it but the installation, under a real systemd."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
from tests.debian import needed, program
from tests.proxies.proxies import make_certificate
from tests.systemd.manager import ROOT, Machine

ROOT_INSIDE = "/opt/hourpass/repository"
PYTHON = "/opt/hourpass/python/bin/python3"

PAGE = ROOT / "docs" / "how-to" / "deploy-systemd.md"

HEADERS_MORE = Path("/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so")

ASK_DURING_A_RESTART = r"""
import json, socket, subprocess, threading
from collections import Counter

answers, over = Counter(), threading.Event()

def ask():
    while not over.is_set():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            try:
                client.connect("/run/hourpass/http.sock")
                client.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                answer = client.recv(65536).split(b"\r")[0].decode()
            except OSError as error:
                answer = str(error)
        answers[answer] += 1

clients = [threading.Thread(target=ask) for _ in range(4)]
for client in clients:
    client.start()
for _ in range(2):
    subprocess.run(["systemctl", "restart", "hourpass"], check=True)
over.set()
for client in clients:
    client.join()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def machine():
    """With Debian's nginx as it is installed, and an API for behind it."""
    if os.getuid():
        pytest.skip("needs root, for a systemd in namespaces of its own")
    program("systemd-analyze", "systemd")
    program("dbus-daemon", "dbus")
    needed("libnginx-mod-http-headers-more-filter", lambda: str(HEADERS_MORE) if HEADERS_MORE.exists() else None)
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        try:
            machine.start()
        except (OSError, RuntimeError) as error:
            pytest.skip(f"needs a kernel that lets a systemd run in namespaces: {error}")
        certificate, key = make_certificate(Path(folder))
        machine.write("/etc/ssl/certs/api.example.com.pem", certificate.read_text())
        machine.write("/etc/ssl/private/api.example.com.key", key.read_text())
        machine.write("/run/api/me", "yours")
        machine.run(
            f"systemctl daemon-reload; systemd-run --unit=api {PYTHON} -m http.server 8000 --directory /run/api"
        )
        yield machine
        machine.stop()


@pytest.fixture(scope="module")
def said(machine):
    """What the commands of each section of the page printed."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        heading = section.splitlines()[0]
        scripts = [] if heading == "Install" else re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        found[heading] = [machine.run(f"cd {ROOT_INSIDE}\n{script}").stdout for script in scripts]
        if heading == "Start it":
            found["after the start"] = [machine.run("systemctl show hourpass --property=StatusText").stdout]
    return found


def test_the_start_returns_when_the_server_listens_and_the_status_is_in_words(said):
    assert said["after the start"] == ["StatusText=listening on unix:/run/hourpass/http.sock\n"]
    assert "Active: active (running)" in said["Start it"][1]
    assert '"event": "listening"' in said["Start it"][1]
    assert '"status":"ok"' in said["Start it"][1]
    assert "master key made" not in said["Start it"][1]


def test_a_client_gets_through_nginx_and_the_socket_to_the_api(said, machine):
    api_key = re.search(r"hp_production_\w+", said["Make a key"][0])[0]
    curl = "curl --silent --insecure --resolve api.example.com:443:127.0.0.1"
    body = json.dumps({"apiKey": api_key})

    pair = json.loads(
        machine.run(
            f"{curl} -H 'content-type: application/json' -d @- https://api.example.com/auth/api-key", given=body
        ).stdout
    )
    with_token = f"{curl} -H 'authorization: Bearer {pair['access_token']}' https://api.example.com/me"

    assert machine.run(with_token).stdout == "yours"
    assert "401" in machine.run(f"{curl} https://api.example.com/me").stdout


def test_commands_run_with_the_servers_user_and_key_and_the_trail_names_the_caller(said, machine):
    machine.run("SUDO_USER=ada hourpass-as-server keys create --name second")

    assert re.search(r"cli:hourpass@\S+ \(USER=ada\)", machine.run("hourpass-as-server audit").stdout)
    assert machine.run("find /var/lib/hourpass ! -user hourpass ! -name hourpass.toml").stdout == ""


def test_root_who_types_the_plain_command_is_told_the_right_one(said, machine):
    """And nothing that would take the data from its server, or send somebody to look for a key that is not lost."""
    elsewhere = machine.run("HOME=/root hourpass master-key status", check=False).stderr
    there = machine.run("hourpass master-key status --data /var/lib/hourpass", check=False).stderr
    as_user = "setpriv --reuid=hourpass --regid=hourpass --clear-groups hourpass master-key status --data"
    without_credential = machine.run(f"{as_user} /var/lib/hourpass", check=False).stderr

    assert elsewhere.endswith("hourpass.db: start the server, or name its data folder with --data\n")
    assert "or hourpass-as-server if systemd runs the server" in there
    assert "chown" not in there
    assert "with hourpass-as-server if systemd runs the server" in without_credential


def test_the_servers_user_cannot_read_the_master_key(said, machine):
    assert machine.run("setpriv --reuid=hourpass --clear-groups cat /etc/hourpass/master.key", check=False).returncode


def test_nobody_but_root_and_the_proxys_group_can_connect(said, machine):
    assert machine.run("stat --format '%a %U %G' /run/hourpass/http.sock").stdout == "660 root www-data\n"


def test_a_restart_under_load_refuses_no_connection_and_loses_no_request(said, machine):
    machine.write("/run/ask.py", ASK_DURING_A_RESTART)

    assert set(json.loads(machine.run(f"{PYTHON} /run/ask.py").stdout)) == {"HTTP/1.1 200 OK"}


def test_a_server_that_hangs_is_replaced(said, machine):
    machine.write(
        "/etc/systemd/system/hourpass.service.d/watchdog.conf", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n"
    )
    machine.run("systemctl daemon-reload; systemctl restart hourpass")
    hung = machine.run("systemctl show hourpass --property=MainPID --value").stdout

    machine.run(f"kill -STOP {hung}")
    machine.run(
        f"until [ $(systemctl show hourpass --property=MainPID --value) != {hung.strip()} ] && "
        "curl --silent --max-time 1 http://127.0.0.1:3601/health/ready; do sleep 0.1; done"
    )

    assert machine.run("systemctl show hourpass --property=NRestarts --value").stdout == "1\n"


def part_of_runbook(heading: str) -> str:
    """The commands of a part of the runbook about the master key."""
    text = (ROOT / "docs" / "runbooks" / "master-key.md").read_text().split(f"### {heading}\n")[1].split("\n### ")[0]
    [script] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return script.replace("/media/safe", "/run/safe")


def given_keys(machine) -> list[dict]:
    return json.loads(machine.run("hourpass-as-server master-key status --json").stdout)


def test_a_lost_credential_is_put_back_as_the_runbook_says(said, machine):
    machine.run("mkdir -p /run/safe; mv /etc/hourpass/master.key /run/safe/master.key")
    assert machine.run("hourpass-as-server master-key status", check=False).returncode == 243
    machine.run("systemctl restart hourpass", check=False)
    assert "status=243/CREDENTIALS" in machine.run("systemctl status hourpass", check=False).stdout

    machine.run(part_of_runbook("It is lost, and was a systemd credential"))

    assert [(key["given"], key["values"] > 0) for key in given_keys(machine)] == [(True, True)]
    assert '"status":"ok"' in machine.run("curl --silent http://127.0.0.1:3601/health/ready").stdout
    assert machine.run("stat --format '%a %U' /etc/hourpass/master.key").stdout == "600 root\n"


def test_a_credential_that_leaked_is_replaced_as_the_runbook_says(said, machine):
    [old] = given_keys(machine)
    assert (
        "only one master key is given" in machine.run("hourpass-as-server master-key rotate --yes", check=False).stderr
    )

    machine.run(part_of_runbook("It has leaked, and is a systemd credential"))

    [new] = given_keys(machine)
    assert new["key_id"] != old["key_id"]
    assert new["values"] == old["values"]
    assert '"status":"ok"' in machine.run("curl --silent http://127.0.0.1:3601/health/ready").stdout
    assert machine.run("stat --format '%a %U' /etc/hourpass/master.key").stdout == "600 root\n"


def test_the_master_key_may_be_sealed_for_this_machine(said, machine):
    """The comment in the unit: only systemd on this machine opens it."""
    unit = machine.run("cat /etc/systemd/system/hourpass.service").stdout
    command = re.search(r"systemd-creds encrypt --name=hourpass-master-key", unit)[0]
    machine.run(
        f"{command} /etc/hourpass/master.key /etc/hourpass/master.key.sealed; mv /etc/hourpass/master.key /run/kept"
    )
    sealed = re.sub(r"^LoadCredential=.*\n", "", unit, flags=re.MULTILINE).replace(
        "#LoadCredentialEncrypted", "LoadCredentialEncrypted"
    )
    machine.write("/etc/systemd/system/hourpass.service", sealed)

    machine.run("systemctl daemon-reload; systemctl restart hourpass")

    assert '"status":"ok"' in machine.run("curl --silent http://127.0.0.1:3601/health/ready").stdout
    machine.write("/etc/systemd/system/hourpass.service", unit)
    machine.run("mv /run/kept /etc/hourpass/master.key; systemctl daemon-reload")


def test_a_log_in_a_file_is_rotated_and_the_server_writes_on(said, machine):
    program("logrotate")
    before = machine.run("cat /var/log/hourpass/hourpass.log").stdout
    assert '"listening"' in before

    machine.run("logrotate --force --state /run/logrotate /etc/logrotate.d/hourpass; systemctl stop hourpass")

    assert machine.run("cat /var/log/hourpass/hourpass.log.1").stdout == before
    lines = machine.run("cat /var/log/hourpass/hourpass.log").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["draining", "stopped"]


def test_the_agents_unit_keeps_a_token_fresh_and_leaves_the_servers_socket_alone(said, machine):
    """The server listens on TCP, too, as for an agent on another machine."""
    machine.write("/etc/systemd/system/hourpass.socket.d/tcp.conf", "[Socket]\nListenStream=127.0.0.1:3600\n")
    machine.write(
        "/etc/systemd/system/hourpass-agent.service.d/here.conf",
        "[Service]\nEnvironment=HOURPASS_URL=http://127.0.0.1:3600\n",
    )
    machine.run(
        "umask 077; cat > /etc/hourpass/api-key", given=re.search(r"hp_production_\w+", said["Make a key"][0])[0]
    )
    machine.run(f"cp {ROOT_INSIDE}/deploy/systemd/hourpass-agent.service /etc/systemd/system/; systemctl daemon-reload")

    sockets = "stat --format '%n %a %U %G' /run/hourpass /run/hourpass/http.sock"
    before = machine.run(f"systemctl stop hourpass.service hourpass.socket; systemctl start hourpass.socket; {sockets}")

    machine.run("systemctl start hourpass-agent")

    assert machine.run("cat /run/hourpass-agent/token").stdout.startswith("eyJ")
    assert machine.run("stat --format '%a %U' /run/hourpass-agent").stdout == "700 hourpass\n"
    status = machine.run("systemctl show hourpass-agent --property=StatusText").stdout
    assert re.match(r"StatusText=token valid for \d+ min \d\d s · refreshed \d+ s ago · next refresh in", status), (
        status
    )
    during = machine.run(sockets)
    machine.run("systemctl stop hourpass-agent; test ! -e /run/hourpass-agent")
    assert before.stdout == during.stdout == machine.run(sockets).stdout
    ask = "curl --silent --unix-socket /run/hourpass/http.sock http://localhost/health/live"
    assert machine.run(f"setpriv --reuid=www-data --regid=www-data --clear-groups {ask}").stdout
