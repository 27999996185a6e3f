"""Signing keys: which one signs, which one is next, and until when the tokens of an old one are verified."""

from collections.abc import Iterator
from typing import Any

from hourpass.admin import shapes
from hourpass.admin.instants import read_moment
from hourpass.admin.operations import LIST_SIGNING_KEYS, ROTATE_SIGNING_KEYS, WITHDRAW_SIGNING_KEY
from hourpass.core.duration import span
from hourpass.core.errors import NotFound, RotationUnderWay
from hourpass.core.policy import HOUR
from hourpass.server.console.page import Confirmation, GoTo, PageAnswer, Section, Shown, View, Visit
from hourpass.server.console.pages.alive import alive
from hourpass.server.console.pictures import phases
from hourpass.server.console.pictures.phases import Life
from hourpass.server.console.rendering import as_sentence

CRUMBS = [("Signing keys", "/signing-keys")]


def _show_all(visit: Visit) -> PageAnswer:
    facts = [each for each in visit.call(LIST_SIGNING_KEYS, shapes.Nothing()).data if each.state != "gone"]
    lives = [_life(each) for each in facts]
    first = min((life.published_at for life in lives), default=visit.now)
    ends = [at for life in lives for at in (life.signs_from, life.retired_at, life.gone_at) if at is not None]
    # A little more than what is known: the key that signs goes on.
    last = max([visit.now, *ends]) + max(HOUR, (visit.now - first) // 10)
    return Shown(
        "signing_keys.html",
        {
            "rows": [
                (each, phases(f"The life of signing key {each.kid}", life, first, last, visit.now))
                for each, life in zip(facts, lives, strict=True)
            ],
            "first": first,
            "last": last,
        },
    )


def _life(key: shapes.SigningKeyFacts) -> Life:
    return Life(
        read_moment(key.published_at),
        read_moment(key.signs_from),
        None if key.retired_at is None else read_moment(key.retired_at),
        None if key.verifies_until is None else read_moment(key.verifies_until),
    )


def _show_rotate(visit: Visit) -> Shown:
    return _ask_rotate(visit)


def _ask_rotate(visit: Visit, problem: str = "") -> Shown:
    policy = visit.settings.policy()
    values: dict[str, Any] = {
        "title": "Rotate the signing key",
        "crumbs": CRUMBS,
        "consequence": "A new key takes over",
        "effects": [
            f"A new key is published now. It signs in {span(policy.publish_ahead)}, when every verifier knows it.",
            f"The old one retires then, and verifies for {span(policy.access_token_lifetime)} after that.",
            "No client and no API notices.",
        ],
        "action": "/signing-keys/rotate",
        "verb": "Rotate",
        "back": "/signing-keys",
        "once": False,
        "problem": problem,
    }
    return Shown("step.html", values, 409 if problem else 200)


def _rotate(visit: Visit) -> PageAnswer:
    try:
        visit.call(ROTATE_SIGNING_KEYS, shapes.Nothing())
    except RotationUnderWay as error:
        return _ask_rotate(visit, as_sentence(error.detail))
    return GoTo("/signing-keys", "rotated")


def _show_withdraw(visit: Visit) -> PageAnswer:
    return _withdrawing(visit, _key(visit)).page()


def _withdrawing(visit: Visit, key: shapes.SigningKeyFacts) -> Confirmation:
    return Confirmation(
        f"Withdraw signing key {key.kid}",
        CRUMBS,
        "Do this only if the key is compromised",
        [*_effects(visit, key)],
        key.kid,
        "Withdraw",
        action=f"/signing-keys/{key.kid}/withdraw",
        back="/signing-keys",
    )


def _effects(visit: Visit, key: shapes.SigningKeyFacts) -> Iterator[str]:
    if key.state == "published":
        yield "It has signed no token yet, so no client notices."
        yield f"A new key takes its place, and signs from {key.signs_from}."
        return
    yield (
        "Every access token that it signed is refused: here within a second, "
        "by a verifier elsewhere when it next fetches the key set, which takes four minutes at most."
    )
    yield alive(visit)
    yield "Each client whose token it signed must refresh. Its grant goes on."
    if key.state == "signing":
        yield "A new key signs in its place at once."


def _withdraw(visit: Visit) -> PageAnswer:
    key = _key(visit)
    visit.require_meant(_withdrawing(visit, key))
    visit.call(WITHDRAW_SIGNING_KEY, shapes.SigningKeyNamed(kid=key.kid))
    return GoTo("/signing-keys", "withdrawn")


def _key(visit: Visit) -> shapes.SigningKeyFacts:
    for each in visit.call(LIST_SIGNING_KEYS, shapes.Nothing()).data:
        if each.kid == visit.path["kid"]:
            return each
    raise NotFound("no signing key has this id")


SECTION = Section(
    "Signing keys",
    "signing",
    (
        View("/signing-keys", LIST_SIGNING_KEYS, _show_all),
        View("/signing-keys/rotate", ROTATE_SIGNING_KEYS, _show_rotate, _rotate),
        View("/signing-keys/{kid}/withdraw", WITHDRAW_SIGNING_KEY, _show_withdraw, _withdraw),
    ),
    {
        "rotated": "A new signing key is published.",
        "withdrawn": "The signing key is withdrawn. Its tokens are refused here, and within four minutes elsewhere.",
    },
)
