"""The pages on containers and Kubernetes: what they name is there, and kubectl and helm take what they show."""

import re
import subprocess

import pytest
import yaml
from tests.deploy.files import COMPOSE, DEPLOY, IMAGE, ROOT, composed

CONTAINER = ROOT / "docs/how-to/deploy-container.md"
KUBERNETES = ROOT / "docs/how-to/deploy-kubernetes.md"
REGISTRY = "registry.example.com/hourpass"


def blocks(page, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def compose_lines() -> list[list[str]]:
    lines = [line for block in blocks(CONTAINER, "sh") for line in block.splitlines()]
    return [line.split() for line in lines if line.startswith("docker compose ")]


@pytest.mark.parametrize("page", [CONTAINER, KUBERNETES], ids=["container", "kubernetes"])
def test_every_file_that_a_page_names_is_there(page):
    named = set(re.findall(r"\bdeploy/[\w./-]+[\w]", "\n".join(blocks(page, "sh"))))

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_builds_the_image_that_all_files_use():
    assert f"--tag {IMAGE} ." in "\n".join(blocks(CONTAINER, "sh"))
    used = {
        image for path in DEPLOY.rglob("*.yaml") for image in re.findall(r"image: (\S*hourpass:\S*)", path.read_text())
    }
    assert used == {IMAGE}


def test_each_compose_command_of_the_page_is_for_a_file_and_a_service_that_are_there():
    services = {name: composed(name)["services"] for name in ("server.yaml", "cluster.yaml")}

    for line in compose_lines():
        name, verb, rest = line[3], line[4], line[5:]
        assert line[2] == "--file"
        if verb in ("exec", "run"):
            assert set(rest) & services[name].keys(), line
        named = [word for word in rest if word.startswith("node-")]
        assert set(named) <= services[name].keys()


def test_docker_compose_knows_each_option_that_the_page_uses():
    for verb in ("up", "run", "exec", "cp"):
        known = subprocess.run([COMPOSE, verb, "--help"], capture_output=True, text=True, check=True).stdout
        used = {word for line in compose_lines() if line[4] == verb for word in options(line[5:])}
        assert {option for option in used if option not in known} == set()


def options(words: list[str]) -> list[str]:
    """The options of docker compose's own: those before the command that runs inside."""
    inside = next(
        (number for number, word in enumerate(words) if word in ("hourpass", "node-1", "postgres")), len(words)
    )
    return [word for word in words[:inside] if word.startswith("--")]


def test_every_secret_of_the_files_is_made_by_the_page():
    made = set(re.findall(r"/dev/stdin secrets/([\w-]+)", CONTAINER.read_text("utf-8")))

    assert made == {secret for name in ("server.yaml", "cluster.yaml") for secret in composed(name)["secrets"]}


def test_kubectl_builds_the_pages_kustomization(kubernetes_tools, tmp_path):
    (overlay,) = [block for block in blocks(KUBERNETES, "yaml") if "kind: Kustomization" in block]
    (tmp_path / "kustomization.yaml").write_text(overlay)
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "deploy").symlink_to(DEPLOY)
    command = [kubernetes_tools / "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", tmp_path]

    built = subprocess.run(command, capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stderr
    check_server([*yaml.safe_load_all(built.stdout)])


def test_helm_takes_the_pages_values(kubernetes_tools, tmp_path):
    (values,) = [block for block in blocks(KUBERNETES, "yaml") if block.startswith("image:")]
    (tmp_path / "values.yaml").write_text(values)
    command = [
        kubernetes_tools / "helm",
        "template",
        "hourpass",
        DEPLOY / "helm" / "hourpass",
        "--values",
        tmp_path / "values.yaml",
    ]

    rendered = subprocess.run(command, capture_output=True, text=True, check=False)

    assert rendered.returncode == 0, rendered.stderr
    check_server([*yaml.safe_load_all(rendered.stdout)])


def check_server(things: list[dict]) -> None:
    """The node has the page's image and settings, and kept everything else."""
    (deployment,) = [thing for thing in things if thing["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}

    assert container["image"] == IMAGE.replace("localhost/hourpass", REGISTRY)
    assert variables["HOURPASS_ISSUER"] == "https://auth.example.com"
    assert variables["HOURPASS_TRUSTED_PROXIES"] == "10.244.7.0/28"
    assert variables["HOURPASS_MASTER_KEY_FILE"] == "/run/secrets/hourpass/master-key"
