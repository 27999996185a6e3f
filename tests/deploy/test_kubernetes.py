"""deploy/kubernetes and deploy/helm: their own programs read them, every schema accepts them, and a node runs so."""

import json
import re
import subprocess
from base64 import b64encode
from pathlib import Path

import httpx2
import pytest
import yaml
from tests.conftest import clean_environment, free_port, run_command
from tests.deploy.files import DEPLOY, IMAGE, image_environment

from hourpass import __version__
from hourpass.server.settings.settings import Settings

SERVER = DEPLOY / "kubernetes" / "server"
SIDECAR = DEPLOY / "kubernetes" / "sidecar.yaml"
CHART = DEPLOY / "helm" / "hourpass"

VERSIONS = ["1.25", "1.29", "1.33", "1.37"]
"""From the oldest that the chart allows to the newest that the checker knows."""

SIDECARS_SINCE = "1.29"


@pytest.fixture(scope="session")
def built(kubernetes_tools):
    """What `kubectl apply --kustomize` would send to the cluster, by kind."""
    done = subprocess.run(
        [kubernetes_tools / "kubectl", "kustomize", SERVER], capture_output=True, text=True, check=True
    )
    return {thing["kind"]: thing for thing in yaml.safe_load_all(done.stdout)}


@pytest.fixture(scope="session")
def helm(kubernetes_tools, tmp_path_factory):
    """Runs helm with a home of its own."""
    home = str(tmp_path_factory.mktemp("helm"))
    environment = clean_environment(HOME=home, XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home, XDG_DATA_HOME=home)

    def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [kubernetes_tools / "helm", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=check, env=environment)

    return run


@pytest.fixture(scope="session")
def rendered(helm):
    """Renders the chart: `rendered("--set", "replicas=3")`, by kind. Helm's own annotations are left out."""

    def render(*arguments: str, release: str = "hourpass") -> dict[str, dict]:
        things = [thing for thing in yaml.safe_load_all(helm("template", release, CHART, *arguments).stdout) if thing]
        for thing in things:
            notes = thing["metadata"].pop("annotations", {})
            assert all(name.startswith("helm.sh/") for name in notes)
        return {thing["kind"]: thing for thing in things}

    return render


def pods(things: dict[str, dict]) -> dict[str, dict]:
    """The pods of all kinds, by kind."""
    return {kind: thing["spec"]["template"]["spec"] for kind, thing in things.items() if kind in ("Deployment", "Job")}


def sidecar() -> dict:
    return yaml.safe_load(SIDECAR.read_text("utf-8"))


def test_the_kustomization_has_every_file_beside_it():
    listed = yaml.safe_load((SERVER / "kustomization.yaml").read_text("utf-8"))["resources"]

    assert sorted(listed) == sorted(path.name for path in SERVER.iterdir() if path.name != "kustomization.yaml")


@pytest.fixture
def validate():
    """The validator of Kubernetes' schemas. Its import takes seconds, which every test process would pay for."""
    import kubernetes_validate

    return kubernetes_validate.validate


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_kubernetes_knows_every_field(version, built, rendered, validate):
    other = rendered(
        "--set", "imagePullSecrets[0].name=pull,replicas=3,settings.idle_lifetime=2592000", release="other"
    )

    for thing in (*built.values(), *other.values()):
        validate(thing, version, strict=True)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= SIDECARS_SINCE])
def test_every_version_with_native_sidecars_knows_every_field_of_the_agents_pod(version, validate):
    validate(sidecar(), version, strict=True)


def test_kubectl_reads_the_agents_pod_as_a_native_sidecar(kubernetes_tools):
    command = [kubernetes_tools / "kubectl", "annotate", "--local", "-f", SIDECAR, "read=yes", "-o", "json"]

    pod = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    agent = pod["spec"]["initContainers"][0]
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["exec"]["command"][0] == "test"


def test_every_pod_keeps_to_the_restricted_standard(built):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    for pod in (*pods(built).values(), sidecar()["spec"]):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not any("hostPort" in port for port in container.get("ports", []))
        assert all(volume.keys() - {"name"} <= {"emptyDir", "secret"} for volume in pod["volumes"])


def test_our_containers_have_a_read_only_root_and_a_memory_limit_and_no_token_of_the_cluster(built):
    for pod in (*pods(built).values(), sidecar()["spec"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        mine = [each for each in (*pod.get("initContainers", []), *pod["containers"]) if each["image"] == IMAGE]
        assert mine
        for container in mine:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]


def test_the_ports_are_those_of_the_image(built):
    (container,) = pods(built)["Deployment"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert ports == {"http": Settings().port, "admin": int(image_environment()["HOURPASS_ADMIN_LISTEN"].split(":")[1])}
    assert {port["targetPort"] for port in built["Service"]["spec"]["ports"]} == {"http"}
    open_to = [port["port"] for rule in built["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert open_to == ["http", "admin"]


def test_every_selector_finds_the_nodes_and_nothing_else(built):
    nodes = built["Deployment"]["spec"]["template"]["metadata"]["labels"]
    job = built["Job"]["spec"]["template"]["metadata"]["labels"]
    selectors = [built[kind]["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    spread = pods(built)["Deployment"]["topologySpreadConstraints"]

    assert [*selectors, *(each["labelSelector"]["matchLabels"] for each in spread)] == [nodes] * 4
    assert built["Service"]["spec"]["selector"] == nodes
    assert job != nodes
    both = built["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert both <= nodes.items()
    assert both <= job.items()


def test_nobody_is_a_trusted_proxy_until_you_say_who(built):
    """Any pod of a network that is named could claim any client's address."""
    (container,) = pods(built)["Deployment"]["containers"]

    assert {each["name"] for each in container["env"]} == {
        "HOURPASS_ISSUER", "HOURPASS_DATABASE_URL_FILE", "HOURPASS_MASTER_KEY_FILE"
    }  # fmt: skip


def test_a_node_has_time_for_the_pause_and_the_drain(built):
    pod = pods(built)["Deployment"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod["terminationGracePeriodSeconds"] > pause + Settings().drain_timeout


def test_a_start_has_time_to_wait_for_the_database(built):
    probe = pods(built)["Deployment"]["containers"][0]["startupProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] > Settings().wait_for_database


class Mounted:
    """The one container of a pod. Its secret is mounted below a folder of this machine, for the group 0."""

    def __init__(self, pod: dict, root: Path, secret: dict[str, str]) -> None:
        (self.container,) = pod["containers"]
        (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
        places = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        folder = Path(f"{root}{places[volume['name']]}")
        folder.mkdir(parents=True)
        for item in volume["secret"]["items"]:
            (folder / item["path"]).write_text(secret[item["key"]])
            (folder / item["path"]).chmod(volume["secret"]["defaultMode"])
        self.arguments = self.container["args"]
        self.environment = {
            variable["name"]: variable["value"].replace(places[volume["name"]], str(folder))
            for variable in self.container["env"]
        }


@pytest.fixture
def secret(database):
    return {"database-url": database, "master-key": b64encode(bytes(range(32))).decode()}


def test_the_job_brings_the_schema_up_to_date(built, secret, tmp_path):
    job = Mounted(pods(built)["Job"], tmp_path, secret)
    environment = clean_environment(**job.environment, HOURPASS_DATA=str(tmp_path / "data"))

    done = run_command(*job.arguments, env=environment)

    assert len(done.stdout.splitlines()) > 1
    assert run_command(*job.arguments, env=environment).stdout == ""


def test_a_node_starts_so_and_answers_each_probe(built, secret, serve, tmp_path):
    node = Mounted(pods(built)["Deployment"], tmp_path, secret)
    admin = f"127.0.0.1:{free_port()}"

    server = serve(environment=node.environment, admin_listen=admin)

    assert node.arguments == ["serve"]
    probes = [node.container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert {probe["port"] for probe in probes} == {"admin"}
    assert [httpx2.get(f"http://{admin}{probe['path']}", trust_env=False).status_code for probe in probes] == [200] * 3
    metadata = httpx2.get(f"{server.url}/.well-known/oauth-authorization-server", trust_env=False).json()
    assert metadata["issuer"] == node.environment["HOURPASS_ISSUER"]


def test_the_chart_makes_the_very_objects_of_the_kustomization(built, rendered):
    assert rendered() == built


def test_the_charts_objects_are_called_like_the_release(rendered):
    other = rendered(release="other")

    names = {thing["metadata"]["name"] for thing in other.values()}
    assert names == {"other", "other-migrate"}
    assert pods(other)["Deployment"]["serviceAccountName"] == "other"
    assert not re.search(r'app.kubernetes.io/name": "hourpass"', json.dumps(other))


def test_a_setting_of_any_type_is_a_variable(rendered):
    values = "settings.idle_lifetime=2592000,settings.token_allow_lists=false,settings.retry_window=5m"

    (container,) = pods(rendered("--set", values))["Deployment"]["containers"]

    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["HOURPASS_IDLE_LIFETIME"] == "2592000"
    assert variables["HOURPASS_TOKEN_ALLOW_LISTS"] == "false"
    assert variables["HOURPASS_RETRY_WINDOW"] == "5m"


def test_the_policy_and_the_job_can_be_left_out(rendered):
    assert {"Job", "NetworkPolicy"} & rendered("--set", "migrate=false,networkPolicy.enabled=false").keys() == set()


def test_helm_finds_nothing_to_complain_about(helm):
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART).stdout


@pytest.mark.parametrize(
    "values",
    [
        "settings.master_key=abc",
        "settings.database_url=postgresql://u:p@h/d",
        "replcas=3",
        "settings.issuer=auth",
        "replicas=0",
    ],
)
def test_a_secret_or_a_misspelt_value_is_refused(helm, values):
    refused = helm("template", "hourpass", CHART, "--set", values, check=False)

    assert refused.returncode != 0
    assert "values don't meet the specifications" in refused.stderr


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))

    assert chart["version"] == chart["appVersion"] == __version__
