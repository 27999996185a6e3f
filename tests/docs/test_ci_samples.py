"""docs/how-to/ci.md: what it shows is a valid workflow, passes the linters, and gets a token from a running server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.conftest import HOURPASS, clean_environment
from tests.debian import program

PAGE = "docs/how-to/ci.md"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def samples(pages) -> tuple[str, str]:
    github, gitlab = re.findall(r"^```yaml\n(.*?)^```$", pages[PAGE], re.MULTILINE | re.DOTALL)
    return github, gitlab


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_samples_pass_the_linters(samples, tmp_path):
    workflow = tmp_path / ".github" / "workflows" / "report.yml"
    pipeline = tmp_path / ".gitlab-ci.yml"
    workflow.parent.mkdir(parents=True)
    for path, text in zip((workflow, pipeline), samples, strict=True):
        path.write_text(text)

    rules = "{extends: default, rules: {document-start: disable, truthy: disable, line-length: {max: 120}}}"
    checked(BIN / "yamllint", "--strict", "-d", rules, workflow, pipeline)
    checked(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)
    checked(BIN / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", pipeline)
    checked(BIN / "zizmor", "--offline", "--no-progress", "--persona", "pedantic", workflow)


@pytest.fixture
def job(serve, tmp_path):
    """Runs a job's script as a CI does: each line must succeed, and its output is kept."""
    server = serve()
    (tmp_path / "key").write_text(server.create_key("--scope", "videos.read")["api_key"])

    def run(script: str, **environment: str) -> str:
        real = script.replace("https://auth.example.com", server.url)
        real = real.replace("https://api.example.com/videos", f"{server.url}/auth/verify?scope=videos.read")
        variables = clean_environment(
            PATH=f"{HOURPASS.parent}:{os.environ['PATH']}", RUNNER_TEMP=str(tmp_path), HOME=str(tmp_path), **environment
        )
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", real],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_the_github_job_gets_a_token_and_only_its_first_step_has_the_key(samples, job, tmp_path):
    program("jq")
    first, second = yaml.safe_load(samples[0])["jobs"]["report"]["steps"]

    key = (tmp_path / "key").read_text()
    printed = job(first["run"], HOURPASS_API_KEY=key) + job(second["run"])

    assert list(first["env"]) == ["HOURPASS_API_KEY"]
    assert "env" not in second
    assert key not in printed
    assert (tmp_path / "header").read_text().startswith("Authorization: Bearer eyJ")
    assert (tmp_path / "header").stat().st_mode & 0o077 == 0


def test_the_gitlab_job_gets_a_token(samples, job, tmp_path):
    script = yaml.safe_load(samples[1])["report"]["script"]

    printed = job("\n".join(line for line in script if "pip install" not in line), HOURPASS_KEY=str(tmp_path / "key"))

    assert len(script) == 4
    assert (tmp_path / "key").read_text() not in printed
    assert (tmp_path / "header").read_text().startswith("Authorization: Bearer eyJ")
