"""`hourpass credential`: answers git, docker and kubectl in their own protocols for credential helpers.

A token goes only to the server and to the origins that were named. If the question names any other host, the answer is
that there is no credential.
"""

import json
import os
import sys
from datetime import UTC, datetime

import click

from hourpass.cli.client.client import Client, complain, obtain
from hourpass.cli.client.options import ClientCommand, client_options, min_valid_option
from hourpass.client.credential import Credential
from hourpass.clocks import wall_clock
from hourpass.core.errors import HourpassError
from hourpass.core.policy import MINUTE, SECOND

MAX_QUESTION = 64 * 1024

NOT_FOUND = "credentials not found in native keychain"
"""Docker's own words for "ask another helper". It compares them exactly."""

KUBERNETES = "client.authentication.k8s.io"

origin_option = click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="an origin that may get the token, besides the server itself; may be repeated",
)
username_option = click.option(
    "--username", default="hourpass", show_default=True, help="the user name that goes with the token"
)


@click.group()
def credential() -> None:
    """Hand tokens to git, docker and kubectl."""


@credential.command(cls=ClientCommand)
@click.argument("operation")
@origin_option
@username_option
@min_valid_option
@client_options()
def git(client: Client, min_valid: float, origins: tuple[str, ...], username: str, operation: str) -> None:
    """Answer git's get, store and erase (gitcredentials(7)).

    In .gitconfig write helper = "!hourpass credential git --origin https://git.example.com". If git erases a token that
    is older than a minute, it is refreshed at once.
    """
    question: dict[str, str] = {}
    announced: set[str] = set()
    for line in sys.stdin.read(MAX_QUESTION).splitlines():
        name, _, value = line.partition("=")
        announced |= {value} if name == "capability[]" else set()
        question[name] = value
    asked = f"{question.get('protocol')}://{question.get('host')}"
    # The protocol may get new operations: an unknown one is ignored without an error.
    if operation == "get":
        _answer_git(client, min_valid, origins, question.get("username") or username, asked, announced)
    elif operation == "erase":
        _erase(client, origins, question, asked)


def _answer_git(
    client: Client, min_valid: float, origins: tuple[str, ...], username: str, asked: str, announced: set[str]
) -> None:
    source = client.source(origins)
    if not source.allows(asked):
        return
    answer = obtain(source, min_valid)
    token = answer.credential.access_token
    expiry = _use_until(source.now(), answer.credential) // SECOND
    if "authtype" in announced:
        # This git can send a bearer token (RFC 6750 §2.1).
        print(f"capability[]=authtype\nauthtype=Bearer\ncredential={token}\nephemeral=1")
    else:
        print(f"username={username}\npassword={token}")
    print(f"password_expiry_utc={expiry}")
    if answer.trouble is not None:
        complain(answer.trouble)


def _erase(client: Client, origins: tuple[str, ...], question: dict[str, str], asked: str) -> None:
    rejected = question.get("credential") or question.get("password")
    source = client.source(origins)
    if not rejected or not source.allows(asked):
        return
    if client.agent:
        client.agent_token().reject(rejected)
        return
    current = client.cached()
    # A server that rejects fresh tokens must not cause a refresh each time.
    if current is None or current.access_token != rejected or source.now() - current.issued_at < MINUTE:
        return
    client.own_source().refresh(rejected=current.number, retry=False)


@credential.command(cls=ClientCommand)
@click.argument("operation")
@origin_option
@username_option
@min_valid_option
@client_options()
def docker(client: Client, min_valid: float, origins: tuple[str, ...], username: str, operation: str) -> None:
    """Answer docker's get, list, store and erase.

    Docker calls a program named docker-credential-NAME. Make it a script of one line: exec hourpass credential docker
    --origin https://registry.example.com "$@".
    """
    asked = sys.stdin.read(MAX_QUESTION).strip() if operation != "list" else ""
    if operation == "list":
        print(json.dumps(dict.fromkeys(origins, username)))
    elif operation == "get":
        source = client.source(origins)
        if not source.allows(asked if "://" in asked else f"https://{asked}"):
            print(NOT_FOUND)
            sys.exit(1)
        answer = obtain(source, min_valid)
        print(json.dumps({"ServerURL": asked, "Username": username, "Secret": answer.credential.access_token}))
        if answer.trouble is not None:
            complain(answer.trouble)


@credential.command(cls=ClientCommand)
@origin_option
@min_valid_option
@client_options()
def kubectl(client: Client, min_valid: float, origins: tuple[str, ...]) -> None:
    """Print an ExecCredential for kubectl and other Kubernetes clients.

    If the kubeconfig sets provideClusterInfo, the cluster must be the server or one of the origins.
    """
    source = client.source(origins)
    version, cluster = _kubernetes_question()
    if cluster is not None and not source.allows(cluster):
        raise HourpassError("the cluster is not one of the origins that may get the token: name it with --origin")
    answer = obtain(source, min_valid)
    until = datetime.fromtimestamp(_use_until(source.now(), answer.credential) // SECOND, UTC)
    print(
        json.dumps(
            {
                "apiVersion": version,
                "kind": "ExecCredential",
                "status": {
                    "token": answer.credential.access_token,
                    "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
            }
        )
    )
    if answer.trouble is not None:
        complain(answer.trouble)


def _kubernetes_question() -> tuple[str, str | None]:
    """The version to answer in, and the cluster's URL if kubectl names it."""
    try:
        question = json.loads(os.environ.get("KUBERNETES_EXEC_INFO", "{}"))
        version = question.get("apiVersion") or f"{KUBERNETES}/v1"
        # Go writes an empty member as null.
        cluster = ((question.get("spec") or {}).get("cluster") or {}).get("server")
    except (ValueError, AttributeError):
        raise HourpassError("KUBERNETES_EXEC_INFO cannot be read") from None
    if version not in (f"{KUBERNETES}/v1", f"{KUBERNETES}/v1beta1"):
        raise HourpassError("this version of ExecCredential is unknown: use v1 or v1beta1")
    return version, cluster


def _use_until(now: int, credential: Credential) -> int:
    """When it should no longer be sent, in epoch milliseconds: a little before it expires."""
    return wall_clock() + credential.hard - now
