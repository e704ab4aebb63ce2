"""An error code means one thing: it belongs to one package and one family of errors."""

from __future__ import annotations

import ast
import functools
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


@functools.cache
def made() -> list[tuple[str, ast.Call]]:
    """Place and call of every error of the tree that is made anywhere, raised there or not."""
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        text, place = file.read_text("utf-8"), file.relative_to(ROOT).as_posix()
        if "holdfast.core.errors import" not in text:
            continue
        nodes = list(ast.walk(ast.parse(text)))
        names = {
            known.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module == "holdfast.core.errors"
            for known in node.names
        }
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in names:
                found.append((f"{place}:{call.lineno}", call))
    return found


def test_every_error_says_what_repairs_it() -> None:
    every = made()
    assert len(every) > 700
    bare = [p for p, call in every if not {"fix", None} & {w.arg for w in call.keywords}]
    assert bare == []


def test_what_repairs_an_error_is_one_sentence_that_asks_for_something() -> None:
    """Constant texts: a sentence or a command, never a nudge to look again."""
    fillers = ("check the input", "check your", "try again", "see the docs", "fix ")
    texts = {
        place: word.value.value.strip()
        for place, call in made()
        for word in call.keywords
        if word.arg == "fix" and isinstance(word.value, ast.Constant)
    }
    assert len(texts) > 400
    assert {p: t for p, t in texts.items() if len(t) < 8 or t.lower().startswith(fillers)} == {}


def test_no_message_formats_a_literal() -> None:
    """A mapping written inside an f-string is a value and its format: it breaks when raised."""
    broken = [
        place
        for place, call in made()
        for node in ast.walk(call)
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Constant)
    ]
    assert broken == []
