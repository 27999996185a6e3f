"""A verifier runs in other people's processes: the parts that only a server needs are not loaded there."""

import subprocess
import sys

from tests.verifier.conftest import AUDIENCE

VERIFY = """
import sys
from hourpass.verifier import Verifier
with Verifier(issuer=sys.argv[1], audience=sys.argv[2]) as verifier:
    print(verifier.verify(sys.argv[3]).client_id)
print(sorted({"apsw", "awscrt", "click", "structlog", "uvloop"} & set(sys.modules)))
"""


def test_a_token_is_verified_without_anything_of_the_servers(issuer):
    arguments = [sys.executable, "-c", VERIFY, issuer.url, AUDIENCE, issuer.token()]

    done = subprocess.run(arguments, capture_output=True, text=True, check=True)

    assert done.stdout.split("\n") == ["key", "[]", ""]
