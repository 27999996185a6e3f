"""No two things share a name: what is public at the top of a module is defined once, or means the same each time."""

import ast
from collections import defaultdict
from pathlib import Path

from hourpass.admin.operations import OPERATIONS

SOURCE = Path(__file__).parents[2] / "src" / "hourpass"

TWICE_ON_PURPOSE = {
    "ApiKeyPolicy": "the same option of the ASGI and the WSGI middleware",
    "Application": "what a server calls, in each interface's terms",
    "HourpassAuth": "one adapter for each HTTP library",
    "HourpassMiddleware": "one for each interface",
    "Receive": "ASGI's word, on both sides of it",
    "Scope": "ASGI's word, on both sides of it",
    "Send": "ASGI's word, on both sides of it",
    "identify": "the same question to the ASGI and the WSGI middleware",
    "introspect": "the route and its use case",
    "revoke": "the route, its use case and its rule",
}


def test_no_public_class_or_function_has_two_meanings():
    """A constant is read beside its module's name, and a command is called what the user types.

    A use case of the administration is called what its operation is called, and so may be what it asks.
    """
    operations = {operation.name for operation in OPERATIONS}
    homes = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        for statement in ast.parse(path.read_text("utf-8")).body:
            for name in names_of(statement):
                if path.parent.name == "admin" and name in operations:
                    continue
                homes[name].append(str(path.relative_to(SOURCE)))

    assert {name: places for name, places in homes.items() if len(places) > 1 and name not in TWICE_ON_PURPOSE} == {}
    assert [name for name in TWICE_ON_PURPOSE if len(homes[name]) < 2] == []


def names_of(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            names = [] if is_command(statement) else [statement.name]
        case ast.Assign(targets=targets) if not is_type_variable(statement.value):
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(name)):
            names = [name]
        case _:
            names = []
    return [name for name in names if not name.startswith("_") and not name.isupper() and name != "log"]


def is_command(statement) -> bool:
    return any(
        "click." in ast.unparse(decorator) or ".command" in ast.unparse(decorator)
        for decorator in statement.decorator_list
    )


def is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "TypeVar"
