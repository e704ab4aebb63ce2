"""An error code means one thing: it belongs to one package and one family of errors."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import holdfast
from holdfast.core import errors

ROOT = Path(holdfast.__file__).parent
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


def raised() -> list[tuple[str, str, str]]:
    """Code, package and class of every error that is made with a code of its own."""
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        package = file.relative_to(ROOT).parts[0]
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            for word in call.keywords:
                if word.arg == "code" and isinstance(word.value, ast.Constant):
                    if call.func.id in KINDS:
                        found.append((str(word.value.value), package, call.func.id))
    return found


def test_a_code_belongs_to_one_package() -> None:
    every = raised()
    assert len(every) > 40
    owners: dict[str, set[str]] = defaultdict(set)
    for code, package, _ in every:
        owners[code].add(package)
    # A configuration file is read for its gates and for its options: the same sentence.
    owners["E0121"] -= {"run"}
    assert {code: who for code, who in owners.items() if len(who) > 1} == {}


def test_a_code_tells_its_family() -> None:
    assert [c for c, _, kind in raised() if not c.startswith(KINDS[kind].family)] == []


# Whoever only runs commands, reads files or trains meets errors of these packages.
ROOMS = ("cli", "compress", "core", "explain", "hooks", "losses", "readers", "recipes", "run",
         "threats")  # fmt: skip


def test_an_error_of_the_front_rooms_says_what_repairs_it() -> None:
    bare = []
    for file in (f for room in ROOMS for f in sorted((ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            known = KINDS.get(call.func.id)
            if known is not None and not {"fix", None} & {w.arg for w in call.keywords}:
                bare.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert bare == []
