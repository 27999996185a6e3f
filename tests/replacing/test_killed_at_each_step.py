"""kill -9 before each statement and each write of a file: the installation opens, and the command is run again."""

import base64
import os
import subprocess
import sys

import pytest
from tests.conftest import clean_environment, run_command
from tests.postgres.cluster import NEWEST, clusters_of


class Installation:
    """A data folder with an API key, on one kind of database, and the variables that name both."""

    def __init__(self, folder, config, kind: str) -> None:
        self.data = folder / "data"
        self.variables = {"HOURPASS_DATA": str(self.data)}
        if kind == "postgres":
            cluster = clusters_of(config).shared(NEWEST)
            url = cluster.url(cluster.create_database())
            keys = " ".join(base64.b64encode(os.urandom(32)).decode() for _ in range(2))
            self.variables |= {"HOURPASS_DATABASE_URL": url, "HOURPASS_MASTER_KEY": keys.split()[1]}
            self.both = {"HOURPASS_MASTER_KEY": keys}
        else:
            self.both = {}
        run_command("keys", "create", "--name", "x", env=clean_environment(**self.variables))

    def killed_at_each_step(self, *command: str) -> int:
        """How many steps the command has. Fails if a kill did harm."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.replacing.killed", "config", "check", "--", *command],
            env=clean_environment(**{**self.variables, **self.both}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return int(done.stdout)


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request, tmp_path):
    return Installation(tmp_path, request.config, request.param)


def test_the_replacing_of_the_master_key(installation):
    assert installation.killed_at_each_step("master-key", "rotate", "--yes") > 10
