"""The agent's settings: by flag, variable and file. A wrong one is refused by name."""

import signal
import stat
import subprocess
from pathlib import Path

import pytest
from tests.agent.conftest import ask, eventually
from tests.conftest import HOURPASS, LOOKS_SECRET, clean_environment, free_port, run_command

from hourpass.cli.client.agent import hook_environment, read_targets

URL = "http://127.0.0.1:1"


def run(folder, *arguments, code=2, config=None, **environment):
    """The message with which the command ends because of a mistake in it."""
    if config is not None:
        (folder / "agent.toml").write_text(config)
        arguments = ("--config", str(folder / "agent.toml"), *arguments)
    environment = clean_environment(XDG_CACHE_HOME=str(folder), **environment)
    result = run_command("agent", *arguments, check=False, env=environment)
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == code, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("soket = 's'", "soket is not a setting; did you mean socket?"),
        ("hook = ['x']", "hook is not a setting; did you mean hooks?"),
        ("[[sinks]]\npath = 'x'\nfromat = 'raw'", "did you mean format?"),
        ("[[sinks]]\nformat = 'raw'", "missing required field `path`"),
        ("[[sinks]]\npath = 'x'\nformat = 'yaml'", "Invalid enum value 'yaml'"),
        ("hooks = ['reload']", "Expected `array`, got `str`"),
        ("hooks = [[]]", "a hook must be a program"),
        ("[[sinks]]\npath = 'x'\nformat = 'template'\ntemplate = '$tokn'", "$tokn is not a field"),
        ("[[sinks]]\npath = 'x'\ngroup = 'nobody-knows'", "no group nobody-knows"),
        ("url = ", "is not TOML"),
    ],
    ids=["flag", "hook", "key", "path", "form", "hooks", "empty", "template", "group", "toml"],
)
def test_a_mistake_in_the_file_is_named(folder, config, words):
    assert words in run(folder, "--url", URL, config=config)


def test_a_file_that_others_can_write_is_refused_because_it_names_programs(folder):
    (folder / "agent.toml").touch()
    (folder / "agent.toml").chmod(0o664)

    told = run(
        folder, "--url", URL, config=f'hooks = [["touch", "{folder}/ran"]]\napi_key_command = "touch {folder}/ran"'
    )

    assert f"others can write {folder}/agent.toml (mode 0664): chmod go-w {folder}/agent.toml" in told
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--url or HOURPASS_URL"),
        (["--url", URL, "--format", "json"], "name the file with --sink"),
        (["--url", URL, "--listen", "127.0.0.1:1"], "listen_secret_file"),
        (["--url", URL, "--api-key-env", "NO_SUCH_NAME"], "no environment variable NO_SUCH_NAME"),
        (["--url", URL, "--config", "none.toml"], "none.toml cannot be read: No such file"),
        (["--url", "http://api.example.com"], "plain http"),
    ],
    ids=["url", "sink", "secret", "variable", "file", "http"],
)
def test_a_missing_or_unfit_setting_is_named(folder, arguments, words):
    assert words in run(folder, *arguments)


def test_a_misspelt_variable_is_an_error_that_names_the_nearest(folder):
    assert "did you mean HOURPASS_AGENT_SINK?" in run(folder, "--url", URL, HOURPASS_AGENT_SNIK="x")


@pytest.mark.parametrize("flag", ["--api-key=", "--api-key-file="])
def test_a_key_among_the_arguments_is_refused_and_not_repeated(folder, flag):
    key = "hp_production_" + "x" * 12 + "_" + "y" * 20

    words = run(folder, "--url", URL, flag + key)

    assert "treat that API key as leaked" in words
    assert key not in words


def test_flags_take_the_place_of_the_files_sinks_and_hooks():
    values = {"url": "u", "sinks": [{"path": "a"}, {"path": "b", "format": "json"}], "hooks": [["x", "y"]]}

    assert [sink.path for sink in read_targets(values, {}).sinks] == ["a", "b"]
    targets = read_targets(values, {"path": "c", "format": "env", "hook": ("z",)})
    assert [(sink.path, sink.format) for sink in targets.sinks] == [("c", "env")]
    assert targets.hooks == [["z"]]


def test_hooks_get_a_short_environment_without_anything_secret():
    environ = {
        "PATH": "/bin", "HOME": "/h", "HOURPASS_API_KEY": "K", "VAULT": "K", "CREDENTIALS_DIRECTORY": "/c",
        "NOTIFY_SOCKET": "/n",
    }  # fmt: skip

    assert hook_environment(environ, "/t") == {"PATH": "/bin", "HOME": "/h", "HOURPASS_TOKEN_FILE": "/t"}


@pytest.fixture
def server(shared):
    return shared


@pytest.fixture
def api_key(server):
    return server.create_key()["api_key"]


@pytest.mark.parametrize("way", ["variable", "named variable", "command", "stdin", "credential"])
def test_the_key_comes_from_the_place_that_the_settings_name(server, api_key, folder, way):
    key_file, sink = folder / "api-key", folder / "token"
    key_file.write_text(api_key + "\n")
    flags, environment = {
        "variable": ([], {"HOURPASS_API_KEY": api_key}),
        "named variable": (["--api-key-env", "MY_KEY"], {"MY_KEY": api_key}),
        "command": (["--api-key-command", f"cat '{key_file}'"], {}),
        "stdin": (["--api-key-file", "-"], {}),
        "credential": ([], {"CREDENTIALS_DIRECTORY": str(folder)}),
    }[way]
    environment = clean_environment(
        HOURPASS_URL=server.url, HOURPASS_CACHE=str(folder / "cache"), HOURPASS_AGENT_SINK=str(sink), **environment
    )

    said = until_written(flags, environment, api_key, sink)

    assert sink.read_text().startswith("eyJ")
    assert not LOOKS_SECRET.search(said)


def until_written(flags, environment, api_key, sink):
    process = subprocess.Popen(
        [HOURPASS, "agent", *flags], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    try:
        process.stdin.write(api_key.encode())
        process.stdin.close()
        process.stdin = None
        eventually(lambda: sink.exists() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    return said


def test_a_file_has_several_sinks_hooks_and_any_flag_and_hup_reads_it_again(server, api_key, start, folder):
    port, secret, done = free_port(), folder / "secret", folder / "done"
    secret.write_text("a secret of the port")
    config = folder / "agent.toml"

    def write(*names):
        sinks = "".join(f'[[sinks]]\npath = "{folder / name}"\nformat = "{name}"\n' for name in names)
        config.write_text(
            f'listen = "127.0.0.1:{port}"\nlisten_secret_file = "{secret}"\n'
            f'hooks = [["sh", "-c", "cat $HOURPASS_TOKEN_FILE > {done}"]]\n{sinks}'
        )

    write("json", "env")
    agent = start(server.url, api_key, "--config", str(config), has_sink=False).ready()
    assert agent.token() in (folder / "json").read_text()
    assert agent.token() in (folder / "env").read_text()
    eventually(lambda: done.exists() and agent.token() in done.read_text())

    write("curl")
    agent.send("SIGHUP")
    agent.wait_for("reloaded")

    eventually((folder / "curl").exists)
    assert agent.token() in (folder / "curl").read_text()
    assert stat.S_IMODE((folder / "curl").stat().st_mode) == 0o600
    write("yaml")
    agent.send("SIGHUP")
    agent.wait_for("not reloaded")
    assert ask(agent.socket, "/health/ready")[0] == 200
    for name in ("cmdline", "environ"):
        assert not LOOKS_SECRET.search(Path(f"/proc/{agent.process.pid}/{name}").read_bytes())
