"""The form of a key's members: from the key into fields of text, and from the fields to what an operation asks.

It only splits text into members. What each of them may be, the operation says.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hourpass.admin import shapes
from hourpass.admin.instants import given_moment
from hourpass.core.admin_access import ADMIN_WRITE
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_members import require_ahead
from hourpass.core.narrowing import Rights, lost_scopes, lost_words, narrowed, widened
from hourpass.server.console.page import Fields
from hourpass.server.console.rendering import show_moment

LABELS = {
    "name": "Name",
    "subject": "Subject",
    "scope": "Scope",
    "audiences": "Audiences",
    "expires_at": "Expires at",
    "raw_until": "Raw key accepted until",
    "allowed_ips": "Allowed addresses",
    "tags": "Tags",
    "claims": "Claims",
    "access_token_lifetime": "Access tokens live",
    "retry_window": "Retry window",
    "self_rotation": "The holder may rotate the key",
    "external_id": "External id",
    "environment": "Environment",
    "admin": "Role",
    "subject_prefix": "Delegated: only subjects that begin with",
    "max_scope": "Delegated: at most the scope",
}
"""What the form calls each member of a key."""

_SPELT = re.compile(rf"\b({'|'.join(name for name in LABELS if '_' in name)})\b")


def in_words(problem: str) -> str:
    """What is wrong with a member, with the form's names in place of those of the admin API."""
    return _SPELT.sub(lambda found: f"“{LABELS[found[1]]}”", problem)


def new_form(subject_prefix: str | None) -> Fields:
    """The fields of a new key. A delegated caller's keys have subjects that begin with its prefix."""
    return Fields(environment="production", subject=subject_prefix or "")


def form_of(key: shapes.Key) -> Fields:
    """The fields of a key as it is."""
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


def asked_of(form: Mapping[str, str], *, new: bool) -> dict[str, Any]:
    """The members that a form gives. An empty field of a change takes the member away, one of a new key gives none.

    Raises:
        InvalidRequest: naming a field that cannot be split into members.
    """
    asked: dict[str, Any] = {}
    for name, text in form.items():
        given = text.strip()
        if new and not given:
            continue
        match name:
            case "name" | "scope":
                asked[name] = given
            case "expires_at" | "raw_until":
                asked[name] = _instant(given)
            case "audiences" | "allowed_ips":
                asked[name] = [line.strip() for line in given.splitlines() if line.strip()] or None
            case "tags" | "claims":
                asked[name] = _pairs(name, given)
            case "retry_window" | "access_token_lifetime":
                asked[name] = whole_field(name, given)
            case "subject_prefix" | "max_scope":
                asked[name] = given or None
            case "admin" if given:
                asked[name] = given
            case "subject" | "external_id" | "environment" if new:
                asked[name] = given
            case "self_rotation" if new:
                asked[name] = True
            case _:
                pass
    return asked


def edited_of(form: Mapping[str, str], key: shapes.Key) -> dict[str, Any]:
    """The members of a key that a form changes. A field that was not edited changes nothing.

    Raises:
        InvalidRequest: naming a field that cannot be split into members.
    """
    shown = form_of(key)
    changed = {name: text for name, text in form.items() if _plain(text) != _plain(shown[name])}
    asked = asked_of(changed, new=False)
    if (rotates_itself := "self_rotation" in form) != key.self_rotation:
        asked["self_rotation"] = rotates_itself
    return asked


def narrowed_by(key: shapes.Key, asked: Mapping[str, Any], now: int) -> list[str]:
    """What a change of members takes away from who uses a key, in sentences. `now` is epoch milliseconds.

    Raises:
        InvalidRequest: if the key would end in the past, or an instant is not one.
    """
    old, new = _rights(key, {}), _rights(key, asked)
    if new.expires_at != old.expires_at:
        require_ahead(new.expires_at, now)
    return [_told(name, old, new) for name in narrowed(old, new)]


def widened_by(key: shapes.Key, asked: Mapping[str, Any]) -> list[str]:
    """What a change of members gives to who uses an admin key, in sentences.

    Raises:
        InvalidRequest: if an instant is not one.
    """
    old, new = _rights(key, {}), _rights(key, asked)
    members = widened(old, new)
    told = [f"It {_becomes(old, new)}gains {' '.join(lost_scopes(new, old))}."] if "admin" in members else []
    if "admin" in members and ADMIN_WRITE in lost_scopes(new, old):
        told.append("It will make and change admin keys.")
    if "subject_prefix" in members or ("admin" in members and old.admin == "auditor"):
        sees = "see" if new.admin == "auditor" else "see and change"
        begin = f"whose subjects begin with {new.subject_prefix}" if new.subject_prefix else "of all customers"
        told.append(f"It will {sees} the keys {begin}.")
    if "max_scope" in members:
        gained = "every scope" if new.max_scope is None else " ".join(lost_words(new.max_scope, old.max_scope or ""))
        told.append(f"It may also give {gained}.")
    return told


def _becomes(old: Rights, new: Rights) -> str:
    return "" if new.admin == old.admin else f"becomes an {new.admin} and "


def _rights(key: shapes.Key, asked: Mapping[str, Any]) -> Rights:
    """What a key allows, with the members that are asked for in place of its own."""
    given = {name: asked[name] if name in asked else getattr(key, name) for name in Rights._fields}
    for name in ("expires_at", "raw_until"):
        given[name] = None if given[name] is None else given_moment(name, given[name])
    for name in ("scope", "audiences", "allowed_ips"):
        given[name] = given[name] or ""
    return Rights(**given)


def _told(name: str, old: Rights, new: Rights) -> str:
    match name:
        case "scope":
            return f"Its tokens lose {' '.join(lost_words(old.scope, new.scope))}."
        case "audiences":
            return f"Its tokens are only for {' '.join(new.audiences or ['the server’s audience'])}."
        case "allowed_ips":
            return f"Clients are refused at all addresses but {' '.join(new.allowed_ips)}."
        case "expires_at":
            return Markup("The key and its grants end at {}.").format(show_moment(new.expires_at))
        case "raw_until":
            return Markup("The key itself is refused from {} on.").format(show_moment(new.raw_until))
        case "self_rotation":
            return "Its holder cannot rotate it any more."
        case "admin":
            return f"It {_becomes(old, new)}loses {' '.join(lost_scopes(old, new))}."
        case "subject_prefix":
            return f"It sees only subjects that begin with {new.subject_prefix}."
        case _:
            return f"It may give at most the scope {new.max_scope or 'of no words'}."


def _plain(text: str) -> str:
    """A field's text without what browsers make of its ends of lines."""
    return text.replace("\r\n", "\n").strip()


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
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) or value is None else text


def _shown(value: object) -> str:
    """The text that `_value` reads as this value."""
    if isinstance(value, str):
        return value if _value(value) == value and not value.startswith('"') else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def whole_field(name: str, text: str, unit: str = "seconds") -> int | None:
    """A whole number of a field, None if it is empty. Raises InvalidRequest."""
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InvalidRequest(f"this is not a whole number of {unit}", name=name)
    return int(text)


def _local(instant: str | None) -> str:
    """An instant for a field of the kind `datetime-local`, in UTC."""
    return "" if instant is None else instant[:19].removesuffix(":00")


def _instant(given: str) -> str | None:
    """The instant of such a field, which leaves out seconds that are zero."""
    if len(given) == len("2027-01-31T12:00"):
        return f"{given}:00Z"
    return f"{given}Z" if len(given) == len("2027-01-31T12:00:00") else given or None
