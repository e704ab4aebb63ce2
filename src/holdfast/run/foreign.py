"""Sources outside this package: a cell that reaches a plugin is made anew when the plugin changes.

`run/source.py` follows what stands in this package; here it is what a plugin, or a script of the
user, is made of: its own file, and those of its package or folder that it imports.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from holdfast.core.digest import digest
from holdfast.core.kinds import Check
from holdfast.run.cells import cell_key, module_of, parts
from holdfast.run.plugins import origin
from holdfast.run.source import source_digest

_INSTALLED = {"site-packages", "dist-packages"}
_OURS = {"holdfast", "torch"}


def is_foreign(module: str) -> bool:
    """Whether a module is neither of this package nor of torch or Python itself."""
    first = module.partition(".")[0]
    return first not in _OURS and first not in sys.stdlib_module_names


def modules(method: Any) -> tuple[str, ...]:
    """Foreign modules that a check or another method reaches: its own, and those of its methods.

    A preset counts for the plugin that entered it, wherever its class stands.
    """
    found = {type(method).__module__}
    for entry in parts(method):
        own = module_of(entry)
        known = origin(entry.key, own)
        found |= {own} if known is None else {own, known.module}
    return tuple(sorted(m for m in found if is_foreign(m)))


def foreign_digest(method: Any) -> str:
    """Digest of all foreign sources behind a method; empty where there are none."""
    sources = {name: text for module in modules(method) for name, text in behind(module).items()}
    return digest(sources) if sources else ""


def keyed(check: Check, subject: str) -> str:
    """Identity of a cell, foreign sources included.

    Args:
        check: with its settings.
        subject: as given by `run.cells.subject_key`.
    """
    key, outside = cell_key(check, subject), foreign_digest(check)
    return digest([key, outside]) if outside else key


@cache
def behind(module: str) -> dict[str, str]:
    """Sources of a foreign module and of all that it imports of its own, by name.

    Of modules of this package, the digest of everything behind them.
    """
    root, inside = _root(module)
    seen: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in seen:
            continue
        if name.startswith("holdfast."):
            seen[name] = source_digest(name)
            continue
        file = _file(module) if name == module else _found(root, name)
        if file is None:
            continue
        seen[name] = _text(file)
        left += [n for n in _imports(name, file, seen[name]) if n == name or inside(n)]
    return seen


def _file(module: str) -> Path | None:
    """The file of a module that was imported; None for one that was typed."""
    place = getattr(sys.modules.get(module), "__file__", None)
    return Path(place) if place else None


class _Inside:
    """Which names belong to a plugin: those of its package, or of the folder of its file."""

    def __init__(self, root: Path | None, package: str) -> None:
        self.root, self.package = root, package

    def __call__(self, name: str) -> bool:
        if name.startswith("holdfast."):
            return True
        if self.root is None:
            return False
        own = not self.package or name.partition(".")[0] == self.package
        return own and _found(self.root, name) is not None


def _root(module: str) -> tuple[Path | None, _Inside]:
    """The folder in which the names of a plugin are looked up."""
    first = module.partition(".")[0]
    top, own = _file(first), _file(module)
    if top is not None and top.name == "__init__.py":
        root: Path | None = top.parent.parent
        return root, _Inside(root, first)
    alone = own is None or bool(_INSTALLED & set(own.parts))
    root = None if own is None or alone else own.parent
    return root, _Inside(root, "")


def _found(root: Path | None, name: str) -> Path | None:
    if root is None:
        return None
    stem = root.joinpath(*name.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _imports(name: str, file: Path, text: str) -> Iterator[str]:
    """Every module that a text may import, wherever in it."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            if node.level:
                if not package:
                    continue
                start = resolve_name(start, package)
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)
