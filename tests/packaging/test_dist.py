"""What `make dist` makes: a wheel and a source archive that are right by themselves, the same on every machine."""

import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from hashlib import sha256
from pathlib import Path

import pytest
from readme_renderer import markdown
from tests.conftest import clean_environment
from tests.debian import program
from tests.docs.test_operating_pages import commands
from tests.packaging.conftest import ROOT, VARIABLES, build, repository

from hourpass import __version__

TOOLS = Path(sys.executable).parent
HTMX = "src/hourpass/server/console/assets/htmx.LICENSE"


def hashes(release) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in release}


@pytest.fixture(scope="session")
def wheel(release) -> dict[str, bytes]:
    """The files of the wheel."""
    with zipfile.ZipFile(release.wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def metadata(wheel):
    return message_from_bytes(wheel[f"hourpass-{__version__}.dist-info/METADATA"])


@pytest.fixture(scope="session")
def unpacked(release, tmp_path_factory) -> Path:
    """The folder of the source archive."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(release.source) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"hourpass-{__version__}"


def test_two_builds_in_two_folders_at_two_times_are_the_same_bytes(release, tmp_path):
    """SOURCE_DATE_EPOCH: reproducible-builds.org/specs/source-date-epoch/."""
    elsewhere = {
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "HOME": str(tmp_path),
        "PYTHONHASHSEED": "7",
        "COLUMNS": "60",
    }
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "another folder", **elsewhere)
    finally:
        os.umask(before)

    assert hashes(again) == hashes(release)


def test_the_source_archive_makes_the_same_wheel(release, unpacked):
    """What distributors and `pip install --no-binary` do, and the times are those of the archive."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=unpacked,
        env={**clean_environment(), **VARIABLES},
        capture_output=True,
        check=True,
    )

    assert (unpacked / "dist" / release.wheel.name).read_bytes() == release.wheel.read_bytes()


def test_the_source_archive_holds_the_whole_repository(unpacked):
    """Tests, pages and pins are in it, so that the tests run in it."""
    files = (path for path in unpacked.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    packed = {path.relative_to(unpacked).as_posix() for path in files}
    made = {name for name in packed if name.startswith(("build/share/", "dist/"))} | {"PKG-INFO"}

    assert packed - made == set(repository())


def test_tests_run_in_the_source_archive(unpacked):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/core/test_policy.py", "tests/docs/test_repository.py"],
        cwd=unpacked,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert (
        str(unpacked)
        in subprocess.run(
            [sys.executable, "-c", "import hourpass; print(hourpass.__file__)"],
            cwd=unpacked / "src",
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


@pytest.mark.parametrize(
    "check", [["twine", "check", "--strict"], ["check-wheel-contents"]], ids=lambda words: words[0]
)
def test_what_checks_packages_finds_nothing(check, release):
    files = [release.wheel, release.source] if check[0] == "twine" else [release.wheel]
    done = subprocess.run(
        [TOOLS / check[0], *check[1:], *files],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_the_package_its_types_its_licence_and_nothing_else(wheel):
    outside = {name for name in wheel if not name.startswith("hourpass/") and ".data/" not in name}
    information = f"hourpass-{__version__}.dist-info"

    assert outside == {
        f"{information}/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", f"licenses/{HTMX}")
    }
    assert {"hourpass/py.typed", "hourpass/server/store/sql/queries.sql"} <= set(wheel)
    assert not [name for name in wheel if "test_" in name or name.endswith(".pyc")]


def test_the_metadata_says_who_may_use_it_and_with_what(metadata):
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0 AND 0BSD"
    assert metadata["Requires-Python"] == ">=3.11"
    told = set(metadata.get_all("Classifier"))
    assert {"Typing :: Typed", "Operating System :: POSIX"} <= told
    tested = {f"Programming Language :: Python :: {(ROOT / '.python-version').read_text().strip()}"}
    assert {line for line in told if re.search(r":: 3\.\d+$", line)} == tested


def links(html: str) -> list[str]:
    """Where a page leads, but for the anchors of its own headings."""
    html = re.sub(r'href="#user-content-[^"]*"', "", html)
    return re.findall(r'(?:href|src|srcset)="([^"]+)"', html)


def test_the_long_description_is_the_readme_and_leads_nowhere_that_is_not_there(metadata):
    """An index knows no file of the repository."""
    text = metadata.get_payload()
    warnings = io.StringIO()
    html = markdown.render(text, stream=warnings)

    assert html is not None, warnings.getvalue()
    assert "Keep the key at home" in html
    assert "docs/" not in re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert [link for link in links(html) if not link.startswith("https://")] == []


def test_a_repository_in_the_metadata_makes_every_link_one_of_that_version(tmp_path):
    """`[project.urls]` names the repository once it is published."""
    import runpy  # the hook is a file for hatchling, in no package

    hook = runpy.run_path(str(ROOT / "tools" / "index_page.py"))["IndexPage"](str(ROOT), {})
    told = {"urls": {"Repository": "https://code.example.com/a/b/"}, "version": "1.2.3"}
    hook.update(told)
    html = markdown.render(told["readme"]["text"], stream=io.StringIO())
    ours = [link for link in links(html) if link.startswith("https://code.example.com/")]

    assert len(ours) > 20
    for link in ours:
        matched = re.fullmatch(r"https://code\.example\.com/a/b/(blob|raw)/v1\.2\.3/([^#]+)(#.+)?", link)
        assert matched, link
        assert (ROOT / matched[2]).exists()
        assert (matched[1] == "raw") == matched[2].endswith((".svg", ".png"))
    assert [link for link in links(html) if not link.startswith("https://")] == []


PAGES = "data/share/man/man1/"


@pytest.fixture(scope="session")
def manual(wheel) -> dict[str, str]:
    """The manual pages in the wheel, by their names."""
    return {name.split(PAGES)[1].removesuffix(".1"): text.decode() for name, text in wheel.items() if PAGES in name}


def test_every_command_is_in_its_manual_page_with_every_option(manual):
    assert set(manual) == {"hourpass", *("-".join(name.split()[:2]) for name in commands())}
    for name, command in commands().items():
        words = manual["-".join(name.split()[:2])].replace("\\-", "-")
        assert f"\\fB{name}\\fR" in words
        for parameter in command.params:
            for flag in parameter.opts:
                assert not flag.startswith("-") or getattr(parameter, "hidden", False) or flag in words, (name, flag)


def test_what_formats_manual_pages_finds_nothing_wrong(manual, tmp_path):
    for name, text in manual.items():
        (tmp_path / f"{name}.1").write_text(text)
    files = sorted(tmp_path.iterdir())
    strict = subprocess.run([program("mandoc"), "-T", "lint", "-W", "warning", *files], capture_output=True, text=True)
    # The same commit must give the same page, so it has no date of its own.
    complaints = [line for line in strict.stdout.splitlines() if "missing date" not in line]

    assert complaints == []


def test_a_manual_page_fits_a_terminal_and_names_the_commands(manual, tmp_path):
    (tmp_path / "hourpass.1").write_text(manual["hourpass"])
    shown = subprocess.run(
        [program("mandoc"), "-T", "utf8", "-O", "width=78", tmp_path / "hourpass.1"], capture_output=True, text=True
    ).stdout
    plain = re.sub(r".\x08", "", shown)

    assert max(map(len, plain.splitlines())) <= 80
    assert "hourpass-signing-keys(1)" in plain


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "bash-completion/completions/hourpass"),
        ("zsh", "zsh/site-functions/_hourpass"),
        ("fish", "fish/vendor_completions.d/hourpass.fish"),
    ],
)
def test_a_shell_finds_its_completion_script(shell, place, wheel):
    from hourpass.cli.completion import script

    assert wheel[f"hourpass-{__version__}.data/data/share/{place}"].decode() == script(shell)
