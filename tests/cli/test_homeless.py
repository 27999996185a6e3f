"""A user without a home: a container's arbitrary uid, with no HOME and no line in the passwd file."""

import json
import os
import shutil
import subprocess

import pytest
from tests.cli.test_help import COMMANDS
from tests.conftest import HOURPASS, clean_environment, free_port

UID = 54_321

AWAY = ("--url", "http://127.0.0.1:1")

SERVER_SIDE = [
    ("serve", "--port", "0"),
    ("keys", "create", "--name", "x"),
    ("keys", "list"),
    ("keys", "show", "x"),
    ("keys", "revoke", "x"),
    ("keys", "update", "x", "--name", "y"),
    ("keys", "disable", "x"),
    ("keys", "enable", "x"),
    ("keys", "rotate", "x"),
    ("keys", "leaked", "-"),
    ("keys", "pattern"),
    ("keys", "import", "-"),
    ("grants", "show", "00"),
    ("grants", "list"),
    ("grants", "revoke", "00"),
    ("tokens", "inspect", "x"),
    ("tokens", "revoke", "x"),
    ("signing-keys", "list"),
    ("signing-keys", "rotate"),
    ("signing-keys", "withdraw", "x", "--yes"),
    ("audit",),
    ("audit", "export", "-"),
    ("audit", "verify"),
    ("overview",),
    ("console",),
    ("webhooks", "list"),
    ("webhooks", "create", "https://example.com/"),
    ("webhooks", "update", "x", "--disable"),
    ("webhooks", "delete", "x", "--yes"),
    ("webhooks", "test", "x"),
    ("webhooks", "rotate-secret", "x"),
    ("webhooks", "deliveries", "x"),
    ("config", "show"),
    ("config", "check"),
    ("migrate",),
    ("copy", "--to", "sqlite:x.db"),
    ("backup", "x.backup"),
    ("restore", "x.backup"),
    ("master-key", "status"),
    ("master-key", "rotate", "--yes"),
    ("secrets", "status"),
    ("secrets", "rotate", "refresh"),
    ("secrets", "retire", "refresh", "--yes"),
    ("health",),
]
CLIENT_SIDE = [
    ("refresh", *AWAY),
    ("agent", *AWAY),
    ("install", "crontab", *AWAY),
    ("install", "systemd", *AWAY),
    ("doctor", *AWAY),
]
UNCACHED = [
    ("token",),
    ("auth-header",),
    ("run", "--", "sh", "-c", 'cat "$HOURPASS_TOKEN_FILE"'),
    ("credential", "git", "get"),
    ("credential", "docker", "get"),
    ("credential", "kubectl"),
]
ANYWHERE = [("demo",), ("completion", "bash")]
"""In a temporary folder unless told otherwise, or without any."""

each_of = lambda table: pytest.mark.parametrize("arguments", table, ids=" ".join)


@pytest.fixture
def homeless(tmp_path):
    """Runs the command as a uid that nobody knows, in a user namespace: needs no root, and changes no owner."""
    outside = ["unshare", "--user", f"--map-user={UID}"]
    if not shutil.which("unshare") or subprocess.run([*outside, "true"], capture_output=True, check=False).returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs unshare and user namespaces")
    environment = {name: value for name, value in clean_environment().items() if not name.startswith(("HOME", "XDG_"))}

    def start(*arguments: str, **options) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            [*outside, HOURPASS, *arguments], cwd=tmp_path, **{"env": environment, **pipes, **options}
        )

    def run(*arguments: str, code: int = 0, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        with start(*arguments, env={**environment, **more}, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(said, timeout=60)
        assert "Traceback" not in err, err
        assert process.returncode == code, f"{process.returncode}: {out}{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    run.start = start
    return run


def test_the_tables_name_every_command():
    named = {" ".join(arguments) for arguments in [*SERVER_SIDE, *CLIENT_SIDE, *UNCACHED, *ANYWHERE]}
    leaves = {" ".join(path) for path, each in COMMANDS.items() if not hasattr(each, "list_commands")}

    assert {leaf for leaf in leaves if not any(name.startswith(leaf) for name in named)} == set()


@each_of(SERVER_SIDE)
def test_a_command_of_the_server_says_in_one_sentence_that_it_needs_a_folder(homeless, arguments):
    result = homeless(*arguments, code=1)

    assert result.stdout == ""
    assert result.stderr == "hourpass: data: this user has no home folder; name a folder with --data or HOURPASS_DATA\n"


@each_of(CLIENT_SIDE)
def test_a_command_of_the_client_says_in_one_sentence_that_it_needs_a_cache(homeless, arguments):
    result = homeless(*arguments, code=2)

    assert result.stdout == ""
    assert result.stderr == (
        "hourpass: this user has no home folder to keep tokens in: use --cache or HOURPASS_CACHE\n"
    )


@each_of(UNCACHED)
def test_a_command_that_hands_a_token_on_works_without_a_cache_and_says_so_once(homeless, serve, arguments):
    server = serve()
    host = server.url.removeprefix("http://")
    said = server.url if "docker" in arguments else f"protocol=http\nhost={host}\n\n"

    result = homeless(*arguments, said=said, HOURPASS_URL=server.url, HOURPASS_API_KEY=server.create_key()["api_key"])

    assert "eyJ" in result.stdout
    assert result.stderr == "hourpass: this user has no home folder, so the token is not cached: see --cache\n"


def test_an_agent_needs_no_home_of_those_who_ask_it(homeless, tmp_path):
    """It holds the token, and nothing is cached twice."""
    assert "agent" in homeless("token", "--agent", str(tmp_path / "none"), code=20).stderr


def test_completion_needs_no_home(homeless):
    assert "_hourpass_completion" in homeless("completion", "bash").stdout


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_not_an_absolute_path_is_ignored(homeless, home):
    assert "has no home folder" in homeless("keys", "list", code=1, HOME=home).stderr
    assert "has no home folder" in homeless("refresh", *AWAY, code=2, HOME=home).stderr


def test_with_a_data_folder_the_commands_work(homeless):
    made = json.loads(homeless("keys", "create", "--name", "x", "--data", "data", "--json").stdout)

    assert made["key_id"] in homeless("keys", "list", HOURPASS_DATA="data").stdout
    assert "cli:" in homeless("audit", "--data", "data").stdout
    assert homeless("config", "check", "--data", "data").stderr.startswith("The settings are good.")


def test_with_a_data_folder_the_server_starts(homeless):
    server = homeless.start(
        "serve", "--data", "data", "--port", "0", "--admin-listen", "off", stdout=subprocess.DEVNULL
    )
    try:
        lines = [json.loads(server.stderr.readline())["event"] for _ in range(2)]
    finally:
        server.terminate()
        _, rest = server.communicate(timeout=30)

    assert lines == ["listening", "master key made"], rest
    assert "Traceback" not in rest


def test_the_demo_needs_no_home(homeless):
    demo = homeless.start("demo", "--json", "--port", str(free_port()))
    try:
        said = json.loads(demo.stdout.readline())
    finally:
        demo.terminate()
        _, err = demo.communicate(timeout=30)

    assert said["api_key"].startswith("hp_")
    assert "Traceback" not in err


@each_of([each for each in CLIENT_SIDE if each[0] in ("token", "auth-header", "refresh")])
def test_with_a_cache_a_command_of_the_client_only_misses_the_server(homeless, arguments):
    key = "hp_production_" + "x" * 12 + "_" + "y" * 20

    assert "home" not in homeless(*arguments, "--cache", "cache", code=20, HOURPASS_API_KEY=key).stderr


def test_the_jobs_of_a_schedule_can_be_printed_and_units_need_a_place(homeless):
    options = (*AWAY, "--cache", "cache")
    assert "refresh --if-due" in homeless("install", "crontab", *options).stdout
    assert "refresh --if-due" in homeless("install", "systemd", *options).stdout
    assert "no home folder for units" in homeless("install", "systemd", *options, "--write", code=2).stderr
