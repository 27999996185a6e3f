"""File sinks: forms, modes, refusals, and 10,000 rewrites under a reader."""

import json
import os
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from hourpass.client.agent.sinks import FileSink
from hourpass.client.file_token import FileToken
from hourpass.core.errors import ConfigurationError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "token"


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize(
    ("form", "template", "content"),
    [
        ("raw", None, "header.payload.signature"),
        ("env", None, "ACCESS_TOKEN=header.payload.signature\n"),
        ("header", None, "Authorization: Bearer header.payload.signature\n"),
        ("curl", None, 'header = "Authorization: Bearer header.payload.signature"\n'),
        ("template", "$token_type;${access_token};$expires_at;$$", "Bearer;header.payload.signature;1800003600000;$"),
    ],
    ids=["raw", "env", "header", "curl", "template"],
)
def test_each_form_has_its_content(path, handout, form, template, content):
    FileSink(path, form=form, template=template).write(handout)

    assert path.read_text() == content


def test_the_json_form_is_what_file_token_reads(path, handout):
    FileSink(path, form="json").write(handout)

    record = json.loads(path.read_bytes())
    assert record == {
        "access_token": "header.payload.signature",
        "token_type": "Bearer",
        "issued_at": 1_800_000_000_000,
        "expires_at": 1_800_003_600_000,
    }
    wall = lambda: 1_800_000_060_000
    credential = FileToken(path, wall=wall).credential()
    assert (credential.access_token, credential.lifetime) == ("header.payload.signature", 3_540_000)


def test_a_shell_reads_the_env_form(path, handout):
    FileSink(path, form="env").write(handout)

    shell = subprocess.run(
        ["sh", "-c", f'. "{path}"; echo "$ACCESS_TOKEN"'], capture_output=True, text=True, check=True
    )

    assert shell.stdout == "header.payload.signature\n"


@pytest.mark.parametrize(
    ("template", "words"),
    [("$acces_token", r"did you mean \$access_token"), ("a $ b", r"write \$\$"), ("$refresh_token", "is not a field")],
    ids=["misspelt", "lone dollar", "refresh token"],
)
def test_a_template_has_named_fields_only(path, template, words):
    with pytest.raises(ConfigurationError, match=words):
        FileSink(path, form="template", template=template)


@pytest.mark.parametrize(("form", "template"), [("template", None), ("raw", "$access_token")], ids=["none", "unused"])
def test_a_template_and_its_form_go_together(path, form, template):
    with pytest.raises(ConfigurationError, match="a template needs format = template"):
        FileSink(path, form=form, template=template)


def test_a_group_may_read_and_nobody_else(path, handout, group):
    FileSink(path, group=group).write(handout)

    assert mode_of(path) == 0o640
    assert path.stat().st_gid == int(group)


def test_a_group_that_does_not_exist_is_an_error(path):
    with pytest.raises(ConfigurationError, match="no group nobody-knows"):
        FileSink(path, group="nobody-knows")


@pytest.mark.parametrize(
    "tamper",
    [
        lambda path: path.chmod(0o666),
        lambda path: path.unlink(),
        lambda path: path.write_text("something else"),
    ],
    ids=["mode", "gone", "content"],
)
def test_a_file_that_was_tampered_with_is_put_right_at_the_next_look(path, handout, tamper):
    sink = FileSink(path)
    assert sink.write(handout)
    assert not sink.write(handout)

    tamper(path)

    assert sink.write(handout)
    assert path.read_text() == handout.access_token
    assert mode_of(path) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=["open", "sticky"])
def test_a_folder_that_anyone_may_write_to_is_refused(tmp_path, handout, mode):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(ConfigurationError, match="anyone may write"):
        FileSink(folder / "token").write(handout)

    assert not list(folder.iterdir())


def test_a_symlink_in_the_sinks_place_is_refused_and_its_target_untouched(path, handout):
    target = path.with_name("target")
    target.write_text("precious")
    path.symlink_to(target)
    sink = FileSink(path)

    with pytest.raises(ConfigurationError, match="not a plain file"):
        sink.write(handout)
    sink.expire()

    assert target.read_text() == "precious"
    assert path.is_symlink()


@pytest.mark.parametrize(("on_expiry", "exists"), [("remove", False), ("leave", True)])
def test_on_expiry_the_file_is_removed_or_left(path, handout, on_expiry, exists):
    sink = FileSink(path, on_expiry=on_expiry)
    sink.write(handout)

    sink.expire()
    sink.expire()

    assert path.exists() is exists


def test_a_sink_shows_no_token(path, handout):
    sink = FileSink(path)
    sink.write(handout)

    assert "signature" not in repr(sink) + repr(handout)


@pytest.fixture
def quick_folder(tmp_path):
    """In memory if the machine has such a place: 20,000 syncs of a busy disk take a minute."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


def test_10_000_rewrites_are_never_empty_torn_or_of_another_mode_to_a_reader(quick_folder, handout):
    """The lengths differ, so that a part of one would show."""
    path = quick_folder / "token"
    tokens = [handout._replace(access_token=f"{number:05}" + "x" * (number % 97)) for number in range(10_000)]
    valid = {one.access_token for one in tokens}
    sink = FileSink(path)
    sink.write(tokens[0])
    faults, looks, done = [], [0], threading.Event()

    def read():
        # A moment between two looks: both are threads of one interpreter.
        while not done.wait(0.0005):
            descriptor = os.open(path, os.O_RDONLY)
            with os.fdopen(descriptor) as file:
                mode, content = stat.S_IMODE(os.fstat(descriptor).st_mode), file.read()
            if mode != 0o600 or content not in valid:
                faults.append((oct(mode), content))
            looks[0] += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for one in tokens[1:]:
            assert sink.write(one)
    finally:
        done.set()
        reader.join()

    assert not faults
    assert looks[0] > 300
    assert path.read_text() == tokens[-1].access_token
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]


@pytest.mark.parametrize("is_shared", [False, True], ids=["own", "group"])
def test_a_missing_folder_is_made_for_its_readers_alone(tmp_path, handout, group, is_shared):
    path = tmp_path / "made" / "token"

    FileSink(path, group=group if is_shared else None).write(handout)

    assert mode_of(path.parent) == (0o750 if is_shared else 0o700)
    assert path.parent.stat().st_gid == (int(group) if is_shared else os.getgid())
