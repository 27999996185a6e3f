"""Says what is wrong with a member that the admin API was asked with, in our words instead of msgspec's.

msgspec tells an error in one text. It may repeat a value, which ours does not: a key may stand anywhere by mistake.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from hourpass.admin import shapes
from hourpass.core.errors import InvalidRequest
from hourpass.settings_file import did_you_mean

NOT_JSON = "the body is not JSON"

NO_OBJECT = "the body is not a JSON object"

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_BOUNDS = {"<=": "at most", ">=": "at least"}

_PLACE = re.compile(r"\$\.(\w+)(?:\[(\d+|\.\.\.)\])?")
_OF_TYPE = re.compile(r"Expected `([^`]+)`(?:, got| - at|$)")
_OF_LENGTH = re.compile(r"Expected `(str|array)` of length (<=|>=) (\d+)")
_IN_BOUNDS = re.compile(r"Expected `(?:int|float)` (<=|>=) (-?\d+)")
_ENUM = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_FIELD = re.compile(r"(unknown|missing required) field `([^`]*)`")


def misread(error: msgspec.ValidationError, asks: type[shapes.Asked]) -> InvalidRequest:
    """What to say of members that do not fit the shape that is asked. It names the member if one is wrong."""
    words = str(error)
    if field := _FIELD.search(words):
        return _unknown(field[2], asks) if field[1] == "unknown" else _refused(field[2], "is missing")
    place = _PLACE.search(words)
    if place is None:
        return InvalidRequest(NO_OBJECT)
    name, entry = place.groups()
    where = (
        "" if entry is None else " has an entry that" if entry == "..." else f" has an entry ({int(entry) + 1}) that"
    )
    return _refused(name, f"{where.strip()} {_must(words, name, asks)}".strip())


def _refused(name: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {words}", name=name)


def _unknown(name: str, asks: type[shapes.Asked]) -> InvalidRequest:
    known = sorted(asks.__struct_fields__)
    hint = did_you_mean(name, known) or (f"; known are {', '.join(known)}" if known else "")
    return _refused(name, f"is not known here{hint}")


def _must(words: str, name: str, asks: type[shapes.Asked]) -> str:
    if found := _OF_LENGTH.search(words):
        of = "characters" if found[1] == "str" else "entries"
        return f"must have {_BOUNDS[found[2]]} {found[3]} {of}"
    if found := _IN_BOUNDS.search(words):
        return f"must be {_BOUNDS[found[1]]} {found[2]}"
    if found := _ENUM.search(words):
        valid = list(_choices(msgspec.inspect.type_info(asks), name))
        return f"must be {_either(valid)}{did_you_mean(found[1], valid)}"
    if found := _OF_TYPE.search(words):
        return f"must be {_either([_TYPES.get(each, each) for each in found[1].split(' | ')])}"
    return "cannot be read"


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _choices(asks: Any, name: str) -> Iterator[str]:
    """The values that a member may have, if it is one of some words."""
    kinds = [field.type for field in asks.fields if field.encode_name == name]
    while kinds:
        kind = kinds.pop()
        match kind:
            case msgspec.inspect.UnionType():
                kinds += kind.types
            case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
                kinds.append(kind.item_type)
            case msgspec.inspect.LiteralType():
                yield from map(str, kind.values)
            case _:
                pass
