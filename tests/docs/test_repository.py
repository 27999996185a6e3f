"""Every file of the repository is at home anywhere: no path of one machine, no host of one package index."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from hourpass.cli import command

# Written apart, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(
    rb"(?<![\w.:/])/(?:"
    + b"|".join([b"wo" + b"rk", b"ro" + b"ot", b"t" + b"mp", b"ho" + b"me", b"Us" + b"ers"])
    + rb")/\w"
)
REGISTRIES = [
    b"py" + b"pi.org",
    b"pythonho" + b"sted.org",
    b"registry.np" + b"mjs.org",
    b"np" + b"mjs.com",
    b"pro" + b"xy.golang.org",
    b"cra" + b"tes.io",
]


def kept_files(root: Path) -> Iterator[Path]:
    """Every file that git would keep: what .gitignore names is left out."""
    lines = (root / ".gitignore").read_text("utf-8").splitlines()
    ignored = [".git", *(line.strip("/") for line in lines if line and not line.startswith("#"))]

    def walk(folder: Path) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            if any(fnmatch(entry.name, pattern) for pattern in ignored):
                continue
            if entry.is_dir():
                yield from walk(entry)
            else:
                yield entry

    return walk(root)


def test_ignored_files_are_left_out(tmp_path):
    (tmp_path / ".gitignore").write_text("# made\n/.venv/\n*.db\n")
    for name in (".venv/a", "src/b.py", "src/c.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert [path.name for path in kept_files(tmp_path)] == [".gitignore", "b.py"]


def test_no_file_names_a_path_of_one_machine(root):
    for path in kept_files(root):
        found = MACHINE_PATHS.search(path.read_bytes())
        assert not found, f"{path.relative_to(root)} holds {found[0]!r}"


def test_no_file_names_the_host_of_a_package_index(root):
    for path in kept_files(root):
        content = path.read_bytes()
        assert not [host for host in REGISTRIES if host in content], path.relative_to(root)


def test_no_example_reads_a_variable_that_turns_the_command_to_another_server(root):
    """Somebody exports it for the example, and the command then refuses to serve, or asks a server."""
    ours = {option.envvar for option in command.params if getattr(option, "envvar", None)}

    assert "HOURPASS_SERVER" in ours
    texts = {path.name: path.read_text("utf-8") for path in (root / "examples").rglob("*.*") if path.suffix != ".pyc"}
    assert "README.md" in texts
    assert [(name, each) for name, text in texts.items() for each in ours if each in text] == []
