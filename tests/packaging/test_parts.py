"""The list of parts (SBOM): complete, and what the format's own schema allows. `test_dist.py` builds it twice."""

import json
import re
import zipfile
from hashlib import sha256

from tests.packaging.conftest import ROOT

from hourpass import __version__

TEMPLATES = ROOT / "src" / "hourpass" / "server" / "console" / "templates"


def test_the_list_is_valid_cyclonedx(release):
    """https://cyclonedx.org/docs/1.6/json/. The validator's import takes seconds, so only this test pays for it."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(release.parts.read_text("utf-8")) is None


def test_the_list_has_every_pin_with_its_hashes_and_the_package_depends_on_each(release):
    listed = json.loads(release.parts.read_text("utf-8"))
    pins = (ROOT / "requirements" / "container.txt").read_text("utf-8")
    root = listed["metadata"]["component"]

    assert (root["name"], root["version"]) == ("hourpass", __version__)
    libraries = [part for part in listed["components"] if part["purl"].startswith("pkg:pypi/")]
    assert {(part["name"], part["version"]) for part in libraries} == set(
        re.findall(r"^([\w.-]+)==([^ ;\n]+)", pins, re.MULTILINE)
    )
    named = {one["content"] for part in libraries for one in part["externalReferences"][0]["hashes"]}
    assert named == set(re.findall(r"sha256:([0-9a-f]{64})", pins))
    needed = next(one["dependsOn"] for one in listed["dependencies"] if one["ref"] == root["bom-ref"])
    assert set(needed) == {part["bom-ref"] for part in listed["components"]}


def test_the_list_has_the_files_of_others_that_lie_in_the_wheel(release):
    listed = json.loads(release.parts.read_text("utf-8"))
    [htmx] = [part for part in listed["components"] if part["purl"].startswith("pkg:npm/")]

    with zipfile.ZipFile(release.wheel) as wheel:
        content = wheel.read("hourpass/server/console/assets/htmx.min.js")
        assert wheel.read("hourpass/server/console/assets/htmx.LICENSE")
    assert htmx["hashes"] == [{"alg": "SHA-256", "content": sha256(content).hexdigest()}]
    assert htmx["licenses"] == [{"license": {"id": "0BSD"}}]


def test_the_wheel_has_every_template_of_the_console(release):
    source = {f"hourpass/server/console/templates/{path.name}" for path in TEMPLATES.iterdir()}

    assert len(source) > 5
    with zipfile.ZipFile(release.wheel) as wheel:
        assert source <= set(wheel.namelist())


def test_the_wheel_has_the_proxy_files_themselves(release):
    """In the repository they are links to `deploy/`."""
    with zipfile.ZipFile(release.wheel) as wheel:
        for proxy, name in (("caddy", "Caddyfile"), ("nginx", "nginx.conf")):
            packed = wheel.read(f"hourpass/server/console/proxies/{name}")
            assert packed == (ROOT / "deploy" / "proxies" / proxy / name).read_bytes()
