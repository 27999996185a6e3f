"""The list of parts (SBOM): complete, and what the format's own schema allows. `test_dist.py` builds it twice."""

import json
import re

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.packaging.conftest import ROOT

from hourpass import __version__


def test_the_list_is_valid_cyclonedx(release):
    """https://cyclonedx.org/docs/1.6/json/."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(release.parts.read_text("utf-8")) is None


def test_the_list_has_every_pin_with_its_hashes_and_the_package_depends_on_each(release):
    listed = json.loads(release.parts.read_text("utf-8"))
    pins = (ROOT / "requirements" / "container.txt").read_text("utf-8")
    root = listed["metadata"]["component"]

    assert (root["name"], root["version"]) == ("hourpass", __version__)
    assert {(part["name"], part["version"]) for part in listed["components"]} == set(
        re.findall(r"^([\w.-]+)==([^ ;\n]+)", pins, re.MULTILINE)
    )
    assert all(part["purl"].startswith("pkg:pypi/") for part in listed["components"])
    named = {one["content"] for part in listed["components"] for one in part["externalReferences"][0]["hashes"]}
    assert named == set(re.findall(r"sha256:([0-9a-f]{64})", pins))
    needed = next(one["dependsOn"] for one in listed["dependencies"] if one["ref"] == root["bom-ref"])
    assert set(needed) == {part["bom-ref"] for part in listed["components"]}
