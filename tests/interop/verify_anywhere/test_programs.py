"""The programs of docs/how-to/verify-anywhere.md, as they stand there, against a live JWK Set."""

import json
import re
import time

import httpx2
import pytest
from tests.conftest import free_port
from tests.interop.verify_anywhere.conftest import ALWAYS, PAGE, RUN, Live, programs

from hourpass.jose import SigningKeyPair, encode_segment

# The first build with Go compiles its standard library: a minute, once on a machine.
pytestmark = pytest.mark.timeout(300)


def tampered(live: Live) -> str:
    """More scope than was signed."""
    header, payload, signature = live.mint(scope="videos.read").split(".")
    _, more, _ = live.mint(scope="videos.read videos.write").split(".")
    assert more != payload
    return f"{header}.{more}.{signature}"


def unsigned(live: Live) -> str:
    """RFC 8725 §3.2: the algorithm `none`."""
    return ".".join([encode_segment(b'{"typ":"at+jwt","alg":"none"}').decode(), live.mint().split(".")[1], ""])


BAD = {
    "expired": (lambda live: live.mint(expired_for=6), "expired", "ERR_JWT_EXPIRED exp"),
    "another audience": (
        lambda live: live.exchange("--audience", "https://other.example")["access_token"],
        "audience",
        "ERR_JWT_CLAIM_VALIDATION_FAILED aud",
    ),
    "of the sandbox": (
        lambda live: live.exchange("--environment", "sandbox")["access_token"],
        "environment",
        "ERR_JWT_CLAIM_VALIDATION_FAILED env",
    ),
    "another issuer": (
        lambda live: live.mint(iss="https://other.example"),
        "issuer",
        "ERR_JWT_CLAIM_VALIDATION_FAILED iss",
    ),
    "a refresh token": (lambda live: live.exchange()["refresh_token"], "signature", "ERR_JOSE_ALG_NOT_ALLOWED"),
    "an answer of the feed": (
        lambda live: httpx2.get(f"{live.url}/auth/revocations").text,
        "signature",
        "ERR_JWT_CLAIM_VALIDATION_FAILED typ",
    ),
    "tampered": (tampered, "signature", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
    "forged under a genuine key id": (
        lambda live: live.mint(SigningKeyPair.generate(live.pair.kid, "ES256")),
        "signature",
        "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    ),
    "of an unknown key": (
        lambda live: live.mint(SigningKeyPair.generate("unknown", "ES256")),
        "signature",
        "ERR_JWKS_NO_MATCHING_KEY",
    ),
    "unsigned": (unsigned, "signature", "ERR_JOSE_ALG_NOT_ALLOWED"),
}


def test_a_token_of_the_exchange_is_accepted_with_its_claims(program, live):
    verdict = program(live.exchange("--subject", "account-17")["access_token"])

    assert (verdict.code, verdict.complaint) == (0, "")
    for word in (live.url, "account-17", "videos.read", "production"):
        assert word in verdict.claims


def test_a_token_within_the_leeway_is_accepted(program, live):
    """RFC 7519 §4.1.4: some small leeway, ours is 5 s. A virtual machine takes its time until it looks."""
    took, verdict, had_expired = 0.0, None, False
    for _ in range(5):
        began = time.time()
        expired_for = 2 - int(took)  # two seconds before the program is expected to look
        verdict = program(live.mint(expired_for=expired_for))
        took = time.time() - began
        had_expired = took + expired_for > 1
        if had_expired and verdict.code == 0:
            break
    assert (had_expired, verdict.code, verdict.complaint) == (True, 0, "")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_refused_and_the_program_says_why(program, live, case):
    make, word, jose_word = BAD[case]

    verdict = program(make(live))

    expected = jose_word if program.name == "verify.mjs" else word
    assert (verdict.code, verdict.claims) == (1, "")
    assert verdict.complaint.strip() == f"refused: {expected}"


def test_a_good_token_is_refused_by_a_program_of_another_audience(program, live):
    assert program(live.mint(), AUDIENCE="https://other.example").code == 1


def test_without_the_issuer_no_token_is_accepted_and_none_is_blamed(program, live):
    """An outage is a 503, so it must differ from every refusal."""
    nobody = f"http://127.0.0.1:{free_port()}"

    verdict = program(live.mint(iss=nobody, aud=nobody), ISSUER=nobody, AUDIENCE=nobody)

    assert (verdict.code, verdict.claims) == (1, "")
    said = verdict.complaint.splitlines()[-1].removeprefix("refused: ").strip()
    assert said not in {word for _, *words in BAD.values() for word in words}


def test_no_program_says_the_token(program, live):
    token = live.mint(expired_for=100)

    assert token.split(".")[2] not in program(token).complaint


def test_every_program_of_the_page_is_known_here_and_listed_there():
    table = PAGE.read_text("utf-8").partition("## What was run")[2]
    rows = re.findall(r"^\| (?!Program|-)(.+?) \|.*\| (.+?) \|$", table, re.MULTILINE)

    assert set(programs()) == set(RUN)
    assert len(rows) == len(RUN)
    assert sum(run.startswith("always") for _, run in rows) == len(ALWAYS)


def test_the_lock_file_names_packages_and_no_registry():
    """Each package by its hash. The registry is the reader's own configuration."""
    lock = json.loads((PAGE.parents[2] / "tests/interop/verify_anywhere/package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
