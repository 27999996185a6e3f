"""What the source weighs, as a Markdown table: python tools/measure.py [CHECKOUT].

A wing is a folder of src/hourpass, and its parts are the folders and modules right inside it.
Its floors are the parts on the longest chain of imports among them, its own `__init__` left out.
The last row has the whole package, with the wings and the single modules as parts.
Lines are all lines of .py files. Public names are the classes, functions and constants at the top of a module.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = "hourpass"


def main() -> None:
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    root = checkout / "src" / PACKAGE
    wings = sorted(path.parent for path in root.glob("*/__init__.py"))
    print("| | files | lines | public names | longest file | parts | floors |")
    print("|---|---|---|---|---|---|---|")
    for wing in wings:
        print(row(f"{wing.name}/", sorted(wing.rglob("*.py")), f"{PACKAGE}.{wing.name}", root))
    print(row("single modules", sorted(root.glob("*.py")), None, root))
    print(row("all", sorted(root.rglob("*.py")), PACKAGE, root))


def row(title: str, paths: list[Path], parent: str | None, root: Path) -> str:
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in paths}
    names = sum(len(public_names(path)) for path in paths)
    longest = max(paths, key=lines.__getitem__)
    shown = f"`{longest.relative_to(root).as_posix()}` ({lines[longest]})"
    parts, chain = floors(parent, modules_of(root)) if parent else ("", "")
    return f"| {title} | {len(paths)} | {sum(lines.values()):,} | {names} | {shown} | {parts} | {chain} |"


def public_names(path: Path) -> set[str]:
    names: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def modules_of(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def floors(parent: str, modules: dict[str, Path]) -> tuple[int, int]:
    """How many parts `parent` has, and how many of them its longest chain. A circle raises `CycleError`."""
    below: dict[str, set[str]] = defaultdict(set)
    for name, path in modules.items():
        part = part_of(name, parent)
        if part:
            imported = {part_of(target, parent) for target in imports(path, modules)}
            below[part] |= imported - {"", part}
    depth: dict[str, int] = {}
    for part in TopologicalSorter(below).static_order():
        depth[part] = 1 + max((depth[lower] for lower in below[part]), default=0)
    return len(depth), max(depth.values())


def part_of(name: str, parent: str) -> str:
    """The part of `parent` that a module belongs to, or "" if it is the parent itself or lies outside."""
    return name.removeprefix(parent + ".").split(".")[0] if name.startswith(parent + ".") else ""


def imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a file imports, those inside functions included. We have no relative imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in modules)
            case ast.ImportFrom(module=str(source), names=names) if source in modules:
                for alias in names:
                    inner = f"{source}.{alias.name}"
                    yield inner if inner in modules else source


if __name__ == "__main__":
    main()
