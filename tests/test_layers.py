"""The house rules that can be read off the source: floors, budgets, names, light imports."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast

SOURCE = Path(holdfast.__file__).parent
TIERS = (
    {"ops"},
    {"core"},
    {"run"},
    {"losses", "layers", "threats", "shifts", "defend", "measures", "aggregate"},
    {"attacks", "certify", "compress", "merge", "optim", "decode"},
    {"objectives", "backward", "hooks", "detect", "explain", "select"},
    {"recipes", "rl", "causal"},
    {"checks"},
    {"suites", "readers", "report", "testing"},
    {"claims", "serve"},  # experiments on the worlds of testing; the dashboard of reports
    {"cli"},  # the front door: opens every room, is entered by none
)
TIER = {package: tier for tier, packages in enumerate(TIERS) for package in packages}
TOP_FILES = {"__init__.py", "__main__.py", "py.typed"}

FORBIDDEN_NAMES = {"utils", "util", "common", "base", "misc", "helpers", "helper"}
MAX_LINES = 400
MAX_BODY = 80
MAY_PRINT = {"cli", "report"}
LIGHT = (
    "holdfast",
    "holdfast.core.records",
    "holdfast.core.errors",
    "holdfast.report",
    "holdfast.cli",
)
HEAVY = ("torch", "numpy", "scipy", "sklearn", "duckdb", "pydantic")


def files() -> list[Path]:
    """All source files, as paths inside the package."""
    return sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((SOURCE / path).read_text(encoding="utf-8"), filename=str(path))


def each_node(*kinds: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    for path in files():
        for node in ast.walk(parsed(path)):
            if isinstance(node, kinds):
                yield path, node


def module_parts(path: Path) -> tuple[str, ...]:
    """`attacks/pgd.py` -> (holdfast, attacks, pgd); a package counts as its own module."""
    parts = ("holdfast", *path.with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(tree: ast.Module, path: Path) -> Iterator[tuple[str, int]]:
    """Every dotted name that the file imports, wherever in it, with the line.

    `from a import b` counts as `a.b`; `import_module("a.b")` with a constant counts too.
    """
    here = module_parts(path)
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*above, *([node.module] if node.module else [])))
            yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if (
                name in {"import_module", "__import__"}
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                yield first.value, node.lineno


def violations(tree: ast.Module, path: Path) -> list[str]:
    """Imports of `path` that do not point to a lower floor."""
    if len(path.parts) == 1:
        # the front of the house knows no room by name; `python -m` opens the front door
        own = len(TIERS) if path.name == "__main__.py" else -1
    else:
        own = TIER[path.parts[0]]
    found = []
    for name, line in imported(tree, path):
        first, *rest = name.split(".")
        if first != "holdfast":
            continue
        there = rest[0] if rest else ""
        if there.startswith("__") or (there == path.parts[0] and len(path.parts) > 1):
            continue
        if TIER.get(there, len(TIERS)) >= own:
            found.append(f"{path}:{line} imports {name}")
    return found


def test_every_package_stands_on_a_floor():
    packages = {path.parts[0] for path in files() if len(path.parts) > 1}
    assert packages <= set(TIER), f"give them a tier: {sorted(packages - set(TIER))}"
    loose = {path.name for path in files() if len(path.parts) == 1} - TOP_FILES
    assert not loose, f"files belong into a package: {sorted(loose)}"


def test_every_package_can_be_imported_as_one():
    bare = [
        str(folder.relative_to(SOURCE))
        for folder in {(SOURCE / path).parent for path in files()}
        if not (folder / "__init__.py").is_file()
    ]
    assert not bare, f"no __init__.py in {sorted(bare)}"


def test_imports_point_to_lower_tiers_only():
    found = [line for path in files() for line in violations(parsed(path), path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "allowed"),
    [
        ("attacks/a.py", "from holdfast.run.search import search", True),
        ("attacks/a.py", "from holdfast.attacks.b import B", True),
        ("attacks/a.py", "from .b import B", True),
        ("attacks/a.py", "from holdfast import __version__", True),
        ("attacks/a.py", "from holdfast.certify import ibp", False),
        ("attacks/a.py", "from holdfast import checks", False),
        ("attacks/a.py", "import holdfast", False),
        ("attacks/a.py", "import holdfast.recipes.adversarial as r", False),
        ("attacks/a.py", "def f():\n    from holdfast.certify.linear.ibp import IBP", False),
        ("attacks/a.py", "def f():\n    import_module('holdfast.certify.linear.ibp')", False),
        ("attacks/a.py", "from ..certify import ibp", False),
        ("attacks/__init__.py", "from .a import A", True),
        ("attacks/__init__.py", "from ..certify import ibp", False),
        ("attacks/deep/a.py", "from ...certify import ibp", False),
        ("attacks/deep/a.py", "from ..b import B", True),
        ("core/a.py", "from holdfast.ops.batch import take", True),
        ("core/a.py", "from holdfast.run.loop import Run", False),
        ("cli/a.py", "from holdfast.report import render_html", True),
        ("report/a.py", "from holdfast.cli import main", False),
        ("serve/a.py", "from holdfast.report import render_html", True),
        ("report/a.py", "from holdfast.serve import pages", False),
        ("__init__.py", "from holdfast import attacks", False),
    ],
)
def test_the_rule_sees_each_way_to_import(path, source, allowed):
    assert (not violations(ast.parse(source), Path(path))) == allowed


def test_no_print_outside_cli_and_report():
    found = [
        f"{path}:{node.lineno}"
        for path, node in each_node(ast.Call)
        if getattr(node.func, "id", "") == "print" and path.parts[0] not in MAY_PRINT
    ]
    assert not found, found


def test_no_assert_in_the_package():
    found = [f"{path}:{node.lineno}" for path, node in each_node(ast.Assert)]
    assert not found, f"raise an error that survives python -O: {found}"


def test_nothing_is_left_unimplemented():
    found = [
        f"{path}:{node.lineno}"
        for path, node in each_node(ast.Raise)
        if "NotImplementedError" in ast.dump(node)
    ]
    assert not found, f"what cannot be done raises Unsupported: {found}"


def test_names_say_what_is_inside():
    found = [str(path) for path in files() if FORBIDDEN_NAMES & set(path.with_suffix("").parts)]
    assert not found, found


def test_files_stay_within_their_budget():
    long = {str(path): len((SOURCE / path).read_text("utf-8").splitlines()) for path in files()}
    assert not {path: lines for path, lines in long.items() if lines > MAX_LINES}


def test_function_bodies_stay_within_their_budget():
    found = []
    for path, node in each_node(ast.FunctionDef, ast.AsyncFunctionDef):
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if body and node.end_lineno - body[0].lineno + 1 > MAX_BODY:
            found.append(f"{path}:{node.lineno} {node.name}")
    assert not found, found


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_nothing_heavy(module):
    code = (
        f"import sys, {module}\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imports {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
