"""`hourpass credential`: git's, docker's and kubectl's own words, and no token for a host that nobody named."""

import json
import shutil
import subprocess
import time
from datetime import UTC, datetime

import pytest
from tests.conftest import HOURPASS

KIND = "client.authentication.k8s.io"


def question(origin: str, **members: str) -> str:
    protocol, host = origin.split("://")
    return (
        "".join(f"{name}={value}\n" for name, value in {"protocol": protocol, "host": host, **members}.items()) + "\n"
    )


def facts(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_git_gets_the_token_as_a_password_that_expires(holder):
    """gitcredentials(7), git-credential(1)."""
    answer = facts(holder("credential", "git", "get", input=question(holder.url)).stdout)

    assert answer["username"] == "hourpass"
    assert answer["password"] == holder.cached["access_token"]
    assert abs(int(answer["password_expiry_utc"]) - time.time() - 3528) < 60


def test_git_keeps_the_user_name_that_it_knows(holder):
    answer = facts(holder("credential", "git", "get", input=question(holder.url, username="ada")).stdout)

    assert answer["username"] == "ada"


def test_a_git_that_can_send_bearer_tokens_gets_one(holder):
    announced = "capability[]=authtype\n" + question(holder.url)
    answer = facts(holder("credential", "git", "get", input=announced).stdout)

    assert answer["capability[]"] == "authtype"
    assert answer["authtype"] == "Bearer"
    assert answer["credential"] == holder.cached["access_token"]
    assert "password" not in answer


def test_git_itself_understands_the_answer(holder):
    if shutil.which("git") is None:
        pytest.fail("needs git")
    origin = "https://git.example.com"
    asked = ["git", "-c", f"credential.helper=!{HOURPASS} credential git --origin {origin}", "credential", "fill"]
    filled = subprocess.run(
        asked, input=question(origin), env=holder.environment, capture_output=True, text=True, check=True
    )

    assert holder.cached["access_token"] in filled.stdout


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example.com",
        "http://git.example.com",
        "https://git.example.com:444",
        "https://a@git.example.com",
    ],
    ids=["other host", "plain http", "other port", "with a user"],
)
def test_no_token_for_an_origin_that_nobody_named(holder, origin):
    named = ("--origin", "https://git.example.com")

    assert holder("credential", "git", *named, "get", input=question(origin)).stdout == ""
    refused = holder("credential", "docker", *named, "get", input=origin, code=1)
    assert refused.stdout == "credentials not found in native keychain\n"


@pytest.mark.parametrize("operation", ["store", "capability", "of-the-future"])
def test_git_may_ask_for_more_than_we_know(holder, operation):
    assert holder("credential", "git", operation, input=question(holder.url)).stdout == ""


@pytest.mark.parametrize(("age", "number"), [(70, 2), (0, 1)], ids=["older than a minute", "fresh"])
def test_an_erased_token_is_refreshed_if_it_is_older_than_a_minute(holder, age, number):
    """A server that rejects fresh tokens must not burn refresh tokens."""
    holder.age(age)
    rejected = question(holder.url, password=holder.cached["access_token"])
    holder("credential", "git", "erase", input=rejected)

    assert holder.cached["number"] == number


@pytest.mark.parametrize("members", [{"password": "another"}, {}], ids=["another password", "no password"])
def test_erasing_any_other_credential_does_nothing(holder, members):
    holder.age(70)
    holder("credential", "git", "erase", input=question(holder.url, **members))

    assert holder.cached["number"] == 1


def test_docker_gets_a_user_name_and_a_secret(holder):
    origin = "https://registry.example.com"
    for asked in (origin, "registry.example.com"):
        answer = json.loads(holder("credential", "docker", "--origin", origin, "get", input=asked).stdout)
        assert answer == {"ServerURL": asked, "Username": "hourpass", "Secret": holder.cached["access_token"]}


def test_docker_lists_what_was_named_and_stores_nothing(holder):
    origin = "https://registry.example.com"

    assert json.loads(holder("credential", "docker", "--origin", origin, "list").stdout) == {origin: "hourpass"}
    for operation in ("store", "erase"):
        assert holder("credential", "docker", operation, input="{}").stdout == ""


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_gets_a_credential_of_the_version_that_it_asks_in(holder, version):
    asked = json.dumps({"apiVersion": f"{KIND}/{version}", "kind": "ExecCredential", "spec": {"interactive": False}})
    answer = json.loads(
        holder("credential", "kubectl", env={**holder.environment, "KUBERNETES_EXEC_INFO": asked}).stdout
    )

    assert (answer["apiVersion"], answer["kind"]) == (f"{KIND}/{version}", "ExecCredential")
    assert answer["status"]["token"] == holder.cached["access_token"]


@pytest.mark.parametrize("spec", [None, {}, {"cluster": None}, {"cluster": {"server": None}}], ids=repr)
def test_kubectl_may_leave_a_member_empty(holder, spec):
    """Go writes an empty member as null."""
    asked = json.dumps({"apiVersion": f"{KIND}/v1", "kind": "ExecCredential", "spec": spec})

    answer = holder("credential", "kubectl", env={**holder.environment, "KUBERNETES_EXEC_INFO": asked})

    assert json.loads(answer.stdout)["status"]["token"] == holder.cached["access_token"]


def test_kubectl_is_told_when_to_ask_again(holder):
    status = json.loads(holder("credential", "kubectl").stdout)["status"]
    until = datetime.strptime(status["expirationTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

    assert abs(until.timestamp() - time.time() - 3528) < 60


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"apiVersion": f"{KIND}/v9"}, "is unknown"),
        ({"spec": {"cluster": {"server": "https://elsewhere.example.com"}}}, "not one of the origins"),
        ([], "cannot be read"),
    ],
    ids=["unknown version", "another cluster", "no object"],
)
def test_kubectl_gets_no_token_if_its_question_does_not_fit(holder, asked, words):
    environment = {**holder.environment, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    result = holder("credential", "kubectl", code=1, env=environment)

    assert words in result.stderr
    assert result.stdout == ""
