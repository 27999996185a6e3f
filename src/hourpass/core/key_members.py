"""One rule for each member of an API key, for all code that makes, edits or imports keys.

Members have the names that people use: `audiences` is a list, `claims` and `tags` are mappings. The results are
fields of `ApiKey`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from hourpass.core.address import normal_network
from hourpass.core.admin_access import ROLES
from hourpass.core.api_key import ApiKey, ClaimValue, keys_in, normal_scope
from hourpass.core.errors import InvalidRequest, InvalidScope
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, MAX_RETRY_WINDOW, SECOND

MAX_CLAIMS = 1_024
"""Bytes of all claims of a key, as JSON and in headers: they travel with every request."""

MAX_TAGS = 32

MAX_AUDIENCES = 32

MAX_NETWORKS = 100
"""Each use of a key compares the caller's address with its networks."""

NO_COMMA = "separate the scopes by spaces: with a comma, two of them would be a single one"
"""RFC 6749 §3.3 allows a comma in a scope, but far more people list scopes with commas, and would learn of it late."""

END_OF_TIME = 253_370_764_800_000
"""The year 9999, in epoch milliseconds: a later date cannot be written everywhere."""

RESERVED_CLAIMS = frozenset(
    {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "sid", "env"}
    | {"auth_time", "acr", "amr", "htm", "htu", "ath", "nonce", "active", "token_type", "username"}
)
"""Names that others have defined, or that are ours (RFC 7519 §4.1, RFC 9068 §2.2, RFC 9449 §4.2, RFC 7662 §2.2)."""

_MAX_NAME = 64


def fields(members: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ApiKey` that members stand for, each checked.

    Instants and durations are in milliseconds. None takes a member away that a key need not have.

    Raises:
        InvalidScope: if the scope breaks RFC 6749 §3.3's grammar.
        InvalidRequest: naming the member, if another one is out of range or unknown, or one holds an API key.
    """
    found: dict[str, Any] = {}
    for name, value in members.items():
        require_no_key(name, value)
        rule = _RULES.get(name)
        if rule is None:
            raise InvalidRequest(f"an API key has no {name!r}", name=name)
        found |= rule(value)
    return found


def require_no_key(name: str, value: object) -> None:
    """Refuse what somebody says of a key or a webhook if a whole API key stands in it. It is not repeated.

    Raises:
        InvalidRequest: naming the member.
    """
    if holds_key(value):
        raise InvalidRequest("an API key stands here: it would be kept in plain, and shown to others", name=name)


def holds_key(value: object) -> bool:
    """Whether a whole API key stands in a text, or in one of several."""
    return any(map(keys_in, texts_in(value)))


def texts_in(value: object) -> Iterator[str]:
    """All texts of a member, the names in a mapping among them."""
    match value:
        case str():
            yield value
        case Mapping():
            yield from texts_in(value.keys())
            yield from texts_in(value.values())
        case Iterable():
            for each in value:
                yield from texts_in(each)
        case _:
            pass


def members_of_key(key: ApiKey) -> dict[str, Any]:
    """All members of a key, as `fields` takes them."""
    members = {name: getattr(key, name) for name in _RULES if name != "audiences"}
    audiences = (key.audience, *key.more_audiences) if key.audience else ()
    return members | {"audiences": audiences, "claims": dict(key.claims), "tags": dict(key.tags)}


def require_ahead(expires_at: int | None, now: int) -> None:
    """Refuse an end that is over when somebody sets it: at exactly its end a key is refused. Epoch milliseconds.

    Raises:
        InvalidRequest: naming `expires_at`.
    """
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("this is over already. To end the key now, revoke it", name="expires_at")


def _name(value: str) -> dict[str, Any]:
    if not value.strip() or len(value) > 200 or not value.isprintable():
        raise InvalidRequest("a name is 1 to 200 printable characters", name="name")
    return {"name": value}


def _scope(value: str) -> dict[str, Any]:
    normal = normal_scope(value)
    if normal is None:
        raise InvalidScope(f"not a scope: {value!r}")
    if "," in normal:
        raise InvalidScope(NO_COMMA)
    return {"scope": normal}


def _environment(value: str) -> dict[str, Any]:
    if value not in {"production", "sandbox"}:
        raise InvalidRequest("an environment is production or sandbox", name="environment")
    return {"environment": value}


def _visible(value: str, name: str) -> str:
    # It travels in HTTP headers behind a proxy: visible ASCII cannot break one.
    if not 1 <= len(value) <= 200 or not all("\x21" <= character <= "\x7e" for character in value):
        raise InvalidRequest(f"{name} is 1 to 200 visible ASCII characters", name=name)
    return value


def _admin(value: str) -> dict[str, Any]:
    if value not in ROLES:
        raise InvalidRequest("a role is owner, operator or auditor", name="admin")
    return {"admin": value}


def _max_scope(value: str | None) -> dict[str, Any]:
    normal = None if value is None else normal_scope(value)
    if value is not None and normal is None:
        raise InvalidRequest("not a scope", name="max_scope")
    if normal is not None and "," in normal:
        raise InvalidRequest(NO_COMMA, name="max_scope")
    return {"max_scope": normal}


def _text(name: str) -> Callable[[str | None], dict[str, Any]]:
    def rule(value: str | None) -> dict[str, Any]:
        return {name: None if value is None else _visible(value, name)}

    return rule


def _subject(value: str) -> dict[str, Any]:
    return {"subject": _visible(value, "subject")}


def _audiences(value: Iterable[str]) -> dict[str, Any]:
    audiences = tuple(_visible(each, "audiences") for each in _several(value, MAX_AUDIENCES, "audiences"))
    return {"audience": audiences[0] if audiences else None, "more_audiences": audiences[1:]}


def _allowed_ips(value: Iterable[str]) -> dict[str, Any]:
    networks = _several(value, MAX_NETWORKS, "allowed_ips")
    try:
        return {"allowed_ips": tuple(dict.fromkeys(map(normal_network, networks)))}
    except ValueError as error:
        raise InvalidRequest(f"not a network: {error}", name="allowed_ips") from error


def _several(value: Iterable[str], most: int, name: str) -> list[str]:
    texts = list(dict.fromkeys(value))
    if len(texts) > most:
        raise InvalidRequest(f"{name} has {most} entries at most", name=name)
    return texts


def _duration(name: str, low: int, high: int) -> Callable[[int | None], dict[str, Any]]:
    def rule(value: int | None) -> dict[str, Any]:
        if value is not None and not low <= value <= high:
            words = f"{name} is {low // SECOND} to {high // SECOND} seconds"
            raise InvalidRequest(words, name=name)
        return {name: value}

    return rule


def _flag(name: str) -> Callable[[bool], dict[str, Any]]:
    return lambda value: {name: value}


def _instant(name: str) -> Callable[[int | None], dict[str, Any]]:
    def rule(value: int | None) -> dict[str, Any]:
        if value is not None and not 0 < value < END_OF_TIME:
            raise InvalidRequest(f"{name} is an instant before the year 9999", name=name)
        return {name: value}

    return rule


def _claims(value: Mapping[str, ClaimValue]) -> dict[str, Any]:
    size = 1
    for name, each in value.items():
        if not _is_name(name) or len(name) > _MAX_NAME:
            raise InvalidRequest(f"a claim's name is 1 to {_MAX_NAME} printable characters", name="claims")
        if name in RESERVED_CLAIMS:
            raise InvalidRequest(f"the claim {name} has a meaning of its own in a token", name="claims")
        size += _json_size(name) + 2 + _value_size(name, each)
    if size > MAX_CLAIMS:
        raise InvalidRequest(f"the claims of a key are {MAX_CLAIMS} bytes at most", name="claims")
    return {"claims": tuple(value.items())}


def _tags(value: Mapping[str, str]) -> dict[str, Any]:
    if len(value) > MAX_TAGS:
        raise InvalidRequest(f"a key has {MAX_TAGS} tags at most", name="tags")
    for name, each in value.items():
        good = _is_name(name) and (each == "" or each.isprintable())
        if not good or len(name) > _MAX_NAME or len(each) > 200:
            raise InvalidRequest(f"a tag is a name of 1 to {_MAX_NAME} and a text of up to 200 characters", name="tags")
    return {"tags": tuple(value.items())}


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and "=" not in text


def _value_size(name: str, value: ClaimValue) -> int:
    match value:
        case None | bool():
            return 5
        case int() if abs(value) < 2**53:
            return len(str(value))
        case float() if isfinite(value):
            return len(repr(value))
        case str() if value == "" or value.isprintable():
            return _json_size(value)
        case _:
            raise InvalidRequest(f"the claim {name} must be a printable text, a number or a boolean", name="claims")


def _json_size(text: str) -> int:
    """Bytes as JSON or in a header. There, a byte beyond ASCII takes three."""
    letters = sum(1 if letter.isascii() else 3 * len(letter.encode()) for letter in text)
    return letters + sum(map(text.count, '"\\%')) + 2


_RULES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "name": _name,
    "scope": _scope,
    "environment": _environment,
    "subject": _subject,
    "audiences": _audiences,
    "allowed_ips": _allowed_ips,
    "expires_at": _instant("expires_at"),
    "raw_until": _instant("raw_until"),
    "retry_window": _duration("retry_window", 0, MAX_RETRY_WINDOW),
    "access_token_lifetime": _duration("access_token_lifetime", SECOND, MAX_ACCESS_TOKEN_LIFETIME),
    "self_rotation": _flag("self_rotation"),
    "external_id": _text("external_id"),
    "claims": _claims,
    "tags": _tags,
    "admin": _admin,
    "subject_prefix": _text("subject_prefix"),
    "max_scope": _max_scope,
}

EDITABLE = frozenset(_RULES) - {"subject", "environment", "external_id"}
"""The members that may change after a key was made. Its subject, environment and external id stay as they are."""
