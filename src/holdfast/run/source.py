"""What a module's behaviour depends on: its own source and that of every module it imports.

Each file is read once in a process, as the interpreter does that runs it.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def _file(module: str) -> Path | None:
    """The file of a module of this package, found without importing it."""
    stem = ROOT.joinpath(*module.split(".")[1:])
    for file in (stem.with_suffix(".py"), stem / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _text(module: str) -> str:
    """The source of a module of this package, empty if there is none."""
    file = _file(module)
    return "" if file is None else file.read_text("utf-8")


@cache
def _direct(module: str) -> tuple[str, ...]:
    """Modules of this package that a module imports anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_text(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return tuple(sorted(m for m in found if m.startswith("holdfast.") and _file(m)))


def imported(module: str) -> dict[str, str]:
    """Sources of a module and of all modules of this package behind it, by module name."""
    seen: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in seen or _file(name) is None:
            continue
        seen[name] = _text(name)
        left += _direct(name)
    return seen


@cache
def source_digest(module: str) -> str:
    """SHA-256 (hex) of the sources that a module depends on."""
    sink = hashlib.sha256()
    for name, text in sorted(imported(module).items()):
        sink.update(f"{name}\n{text}\n".encode())
    return sink.hexdigest()


_KEY = re.compile(r"[a-z]+:[a-z0-9][a-z0-9-]*")


@cache
def named(module: str) -> tuple[str, ...]:
    """Texts of the form `kind:name` that stand as whole constants in a module."""
    nodes = ast.walk(ast.parse(_text(module)))
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return tuple(sorted(t for t in texts if _KEY.fullmatch(t)))
