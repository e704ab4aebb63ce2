"""Finds who could build an architecture by parsing Python files; nothing is imported or called."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 200
MAX_SIZE = 1 << 20


@dataclass(frozen=True)
class Candidate:
    """A class or function whose attributes look like the names of some parameters.

    Args:
        entry: as `--arch` takes it.
        matched: first parts of parameter names that it has as attributes.
        wanted: first parts that there are.
        score: share of common names among all names of both.
    """

    entry: str
    matched: int
    wanted: int
    score: float


def first_parts(names: Collection[str]) -> set[str]:
    """`layer1.0.weight` -> `layer1`."""
    return {n.partition(".")[0] for n in names}


def _own_attributes(cls: ast.ClassDef) -> set[str]:
    """Names that are set on `self` anywhere in a class."""
    found: set[str] = set()
    for node in ast.walk(cls):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                    found |= {part.attr} if part.value.id == "self" else set()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            first = node.args[0]
            if node.func.attr in ("add_module", "register_module", "register_parameter"):
                found |= {str(first.value)} if isinstance(first, ast.Constant) else set()
    return found


def _sequential(node: ast.AST) -> set[str]:
    """`0`, `1`, ... for each `Sequential(...)` of at least two layers inside."""
    sizes = [
        len(call.args)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) == "Sequential"
    ]
    return {str(k) for k in range(max(sizes, default=0))}


def _needs_arguments(node: ast.FunctionDef, bound: bool) -> bool:
    args = node.args.posonlyargs + node.args.args
    required = len(args) - len(node.args.defaults) - bound
    return required > 0 or any(d is None for d in node.args.kw_defaults)


def _called(node: ast.AST) -> set[str]:
    return {
        getattr(c.func, "id", getattr(c.func, "attr", ""))
        for c in ast.walk(node)
        if isinstance(c, ast.Call)
    }


def makers(source: str) -> Iterator[tuple[str, set[str], bool]]:
    """Name, attributes and need of arguments of each class and function of a source text."""
    tree = ast.parse(source)
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    own = {name: _own_attributes(node) for name, node in classes.items()}
    full = {
        name: own[name].union(*(own.get(getattr(b, "id", ""), set()) for b in node.bases))
        for name, node in classes.items()
    }
    for name, node in classes.items():
        inits = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
        yield name, full[name], any(_needs_arguments(f, True) for f in inits)
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        built = [full[c] for c in sorted(_called(function) & set(full)) if full[c]]
        names = max(built, key=len) if built else _sequential(function)
        yield function.name, names, _needs_arguments(function, False)


def suggestions(folders: Collection[Path], parameters: Collection[str]) -> list[Candidate]:
    """Who of the Python files in some folders could build a model with these parameters.

    Args:
        folders: looked into, without their sub-folders.
        parameters: names such as `conv1.weight`.

    Returns:
        The best first; only those that share at least half of the first parts of the names.
    """
    wanted = first_parts(parameters)
    files = sorted({p.resolve() for f in folders for p in f.glob("*.py")})[:MAX_FILES]
    found: list[tuple[bool, Candidate]] = []
    for path in files:
        try:
            if path.stat().st_size > MAX_SIZE:
                continue
            made = list(makers(path.read_text("utf-8")))
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
            continue
        for name, attributes, needs in made:
            common = wanted & attributes
            if 2 * len(common) >= len(wanted) and common:
                score = len(common) / len(wanted | attributes)
                entry = f"{path.name}:{name}"
                found.append((needs, Candidate(entry, len(common), len(wanted), score)))
    found.sort(key=lambda c: (-c[1].matched, c[0], -c[1].score, c[1].entry))
    return [candidate for _, candidate in found]
