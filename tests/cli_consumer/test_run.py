"""`hourpass run`: the command's token file, its signals, its exit code, and the secrets that it must not get."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.agent.conftest import eventually
from tests.conftest import HOURPASS

READY = "echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def running(holder):
    """`running(script)`: a shell script under `hourpass run`, after its first line of output."""
    processes: list[subprocess.Popen] = []

    def start(script: str, **options) -> tuple[subprocess.Popen, str]:
        process = holder.start("run", "--", "sh", "-c", script, stdout=subprocess.PIPE, text=True, **options)
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in processes:
        if process.poll() is None:
            process.terminate()  # it takes its command along, which KILL would leave behind
        process.wait(10)
        process.stdout.close()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_the_command_finds_the_token_in_a_file_for_its_user_alone(holder):
    result = holder("run", "--", "sh", "-c", 'stat -c %a "$HOURPASS_TOKEN_FILE"; cat "$HOURPASS_TOKEN_FILE"')

    assert result.stdout == f"600\n{holder.cached['access_token']}"


def test_the_file_is_gone_afterwards(holder):
    path = holder("run", "--", "sh", "-c", 'echo "$HOURPASS_TOKEN_FILE"').stdout.strip()

    assert path
    assert not Path(path).parent.exists()


def test_the_file_is_in_memory_if_the_machine_has_a_place_for_it(holder, tmp_path):
    environment = {**holder.environment, "XDG_RUNTIME_DIR": str(tmp_path)}

    assert holder("run", "--", "sh", "-c", 'echo "$HOURPASS_TOKEN_FILE"', env=environment).stdout.startswith(
        f"{tmp_path}/"
    )


@pytest.mark.parametrize("code", [0, 1, 7, 255], ids=str)
def test_the_exit_code_is_passed_on(holder, code):
    holder("run", "--", "sh", "-c", f"exit {code}", code=code)


def test_an_end_by_a_signal_is_128_and_its_number(holder):
    """POSIX, Shell Command Language §2.8.2."""
    holder("run", "--", "sh", "-c", "kill -9 $$", code=128 + 9)


def test_a_command_that_does_not_exist_is_127(holder):
    assert "no-such-command" in holder("run", "--", "no-such-command", code=127).stderr


def test_a_command_that_cannot_be_executed_is_126(holder):
    holder("run", "--", str(holder.key_file), code=126)


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"])
def test_a_signal_is_forwarded_once(running, name):
    process, _ = running(
        f"n=0; trap 'n=$((n+1))' {name}; trap 'exit $((40 + n))' TERM; {READY}"
        if name != "TERM"
        else f"trap 'exit 41' TERM; {READY}"
    )
    process.send_signal(signal.Signals[f"SIG{name}"])
    if name != "TERM":
        time.sleep(0.3)
        process.terminate()

    assert process.wait(10) == 41


def test_typed_text_reaches_the_command_once(holder):
    """The terminal sends Ctrl-C to both. Forwarding it as well would make two of one."""
    script = "n=0; trap 'n=$((n+1))' INT; trap 'exit $((40 + n))' TERM; " + READY
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(
            str(Path(os.sys.executable).with_name("hourpass")),
            ["hourpass", "run", "--", "sh", "-c", script],
            holder.environment,
        )
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 41


def test_the_command_inherits_no_blocked_or_ignored_signal(holder):
    status = holder("run", "--", "cat", "/proc/self/status").stdout
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn")))

    # Signals 32 and 33 are the C library's own.
    assert {name: int(mask, 16) & 0x7FFF_FFFF for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


def test_no_secret_is_in_any_argument_or_environment(holder, running, secrets_of):
    environment = {**holder.environment, "HOURPASS_API_KEY": holder.api_key}
    holder.environment = environment
    process, _ = running(READY)

    assert secrets_of(child_of(process.pid)) == []
    assert [found for found in secrets_of(process.pid) if found.startswith("cmdline")] == []


def test_a_key_from_standard_input_is_not_left_to_the_command(user):
    environment = {**user.bare, "HOURPASS_URL": user.url}
    result = user("run", "--api-key-file", "-", "--", "cat", env=environment, input=user.api_key)

    assert result.stdout == ""


def test_the_command_is_not_run_without_a_token(user, server, tmp_path):
    server.kill()
    user("run", "--timeout", "0.2", "--", "touch", str(tmp_path / "ran"), code=20)

    assert not (tmp_path / "ran").exists()


def test_a_new_token_of_a_sibling_comes_into_the_file(holder, running):
    """The keeper adopts what another process fetched as soon as its own is due."""
    holder.age(2690)
    process, first = running(
        'cat "$HOURPASS_TOKEN_FILE"; echo; while :; do sleep 0.1; cat "$HOURPASS_TOKEN_FILE"; echo; done'
    )
    deadline = time.monotonic() + 30
    while (token := process.stdout.readline().strip()) == first and time.monotonic() < deadline:
        pass
    process.terminate()

    assert token == holder.cached["access_token"] != first


IN_A_NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


@pytest.fixture
def container():
    """The prefix that makes a command the first process of a namespace, as a container does."""
    command = [*IN_A_NAMESPACE, *AS_ROOT]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        if os.geteuid() == 0 and os.environ.get("CI"):
            pytest.fail("this machine makes no process namespaces")
        pytest.skip("needs process namespaces (unshare)")
    return command


ORPHANS = """
for number in 1 2 3; do (sleep 0.1 & ) ; done
sleep 1
echo $$ $(ps -eo stat= | grep -c Z)
"""


def test_as_a_containers_first_process_it_reaps_orphans(holder, container):
    done = subprocess.run(
        [*container, HOURPASS, "run", "--", "sh", "-c", ORPHANS], env=holder.environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    number, zombies = done.stdout.split()
    assert int(number) > 1
    assert zombies == "0"


@pytest.mark.parametrize("code", [0, 7])
def test_as_a_containers_first_process_it_ends_as_the_command_does(holder, container, code):
    done = subprocess.run([*container, HOURPASS, "run", "--", "sh", "-c", f"exit {code}"], env=holder.environment)

    assert done.returncode == code


def test_as_a_containers_first_process_it_hands_term_on(holder, container, tmp_path):
    """`docker stop` sends TERM to the first process, for which the kernel knows no default action."""
    script = "trap 'echo term > said; exit 3' TERM; touch started; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*container, HOURPASS, "run", "--", "sh", "-c", script], env=holder.environment, cwd=tmp_path
    )
    eventually((tmp_path / "started").exists)
    (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(first), signal.SIGTERM)

    assert process.wait(20) == 3
    assert (tmp_path / "said").read_text() == "term\n"
