"""The form of a key's members: from the key into fields of text, and from the fields to what an operation asks.

It only splits text into members. What each of them may be, the operation says.
"""

import json
from collections.abc import Mapping
from typing import Any

from hourpass.admin import shapes
from hourpass.core.errors import InvalidRequest
from hourpass.server.console.page import Fields

NOT_FOR_ADMINS = frozenset({"scope", "audiences", "claims", "self_rotation", "raw_until"})
"""What the form does not have for an admin key."""


def form_of(key: shapes.Key | None) -> Fields:
    """The fields of a key as it is, or those of a new one."""
    if key is None:
        return Fields(environment="production")
    values = {
        "name": key.name,
        "scope": key.scope,
        "expires_at": _local(key.expires_at),
        "raw_until": _local(key.raw_until),
        "audiences": "\n".join(key.audiences),
        "allowed_ips": "\n".join(key.allowed_ips),
        "tags": "\n".join(f"{name}={value}" for name, value in key.tags.items()),
        "claims": "\n".join(f"{name}={_shown(value)}" for name, value in key.claims.items()),
        "retry_window": "" if key.retry_window is None else str(key.retry_window),
        "access_token_lifetime": "" if key.access_token_lifetime is None else str(key.access_token_lifetime),
        "admin": key.admin or "",
        "subject_prefix": key.subject_prefix or "",
        "max_scope": key.max_scope or "",
    }
    return Fields(values, self_rotation="yes" if key.self_rotation else "")


def asked_of(form: Mapping[str, str], *, new: bool, admin: bool = False) -> dict[str, Any]:
    """The members that a form gives. An empty field of a change takes the member away, one of a new key gives none.

    Raises:
        InvalidRequest: naming a field that cannot be split into members.
    """
    admin = admin or bool(form.get("admin"))
    asked: dict[str, Any] = {}
    for name, text in form.items():
        given = text.strip()
        if (admin and name in NOT_FOR_ADMINS) or (new and not given):
            continue
        match name:
            case "name" | "scope":
                asked[name] = given
            case "expires_at" | "raw_until":
                asked[name] = f"{given}:00Z" if len(given) == len("2027-01-31T12:00") else given or None
            case "audiences" | "allowed_ips":
                asked[name] = [line.strip() for line in given.splitlines() if line.strip()] or None
            case "tags" | "claims":
                asked[name] = _pairs(name, given)
            case "retry_window" | "access_token_lifetime":
                asked[name] = _whole(name, given)
            case "subject_prefix" | "max_scope" if admin:
                asked[name] = given or None
            case "admin" if given:
                asked[name] = given
            case "subject" | "external_id" | "environment" if new:
                asked[name] = given
            case _:
                pass
    if not admin:
        asked["self_rotation"] = "self_rotation" in form
    return asked


def _pairs(name: str, text: str) -> dict[str, Any] | None:
    pairs = {}
    for line in text.splitlines():
        if line.strip():
            member, equals, value = line.strip().partition("=")
            if not equals:
                raise InvalidRequest(f"write {name} as name=value, one on each line", name=name)
            pairs[member.strip()] = _value(value.strip()) if name == "claims" else value.strip()
    return pairs or None


def _value(text: str) -> object:
    """A claim's value: a number, a truth value or null as JSON has them, everything else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) or value is None else text


def _shown(value: object) -> str:
    """The text that `_value` reads as this value."""
    if isinstance(value, str):
        return value if _value(value) == value and not value.startswith('"') else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InvalidRequest("this is a whole number of seconds", name=name)
    return int(text)


def _local(instant: str | None) -> str:
    """An instant for a field of the kind `datetime-local`, in UTC."""
    return "" if instant is None else instant[:16]
