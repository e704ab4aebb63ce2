"""What a cell's key covers: everything its outcome depends on, and nothing else."""

from __future__ import annotations

import importlib.util
import shutil
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tests.run.doubles import Says, subject, suite
from torch import nn

from holdfast.checks.clean import Clean
from holdfast.checks.worst_case import WorstCase
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, ingredient, settings
from holdfast.core.goal import Targeted, Untargeted
from holdfast.core.kinds import Check
from holdfast.readers.onnx_model import OnnxModel
from holdfast.run import source
from holdfast.run.cells import Cells, cell_key, parts, subject_key
from holdfast.run.looked import looked
from holdfast.run.store import Store
from holdfast.run.suite import audit
from holdfast.run.writing import plain
from holdfast.threats.grammar import parse


def key(check: Check, about: Any = None) -> str:
    return cell_key(check, subject_key(about or subject()))


@settings
class Aimed(Check):
    """Has a goal and something with contents."""

    question: ClassVar[str] = "?"
    section: ClassVar[str] = "clean"
    goal: Any = None
    teacher: Ingredient[Any] = ingredient()

    def __call__(self, subject):
        yield from ()


def altered(what: str) -> Any:
    """The subject of the doubles with one thing changed."""
    other = subject()
    with torch.no_grad():
        if what == "a weight":
            other.model.weight[0, 0] += 1e-6
        elif what == "a buffer":
            other.model.register_buffer("seen", torch.zeros(1))
        elif what == "the type of the weights":
            other.model.double()
        elif what == "a row":
            other.batches.x[3, 1] += 1e-6
        elif what == "a label":
            other.batches.y[0] = 2
        elif what == "the mode":
            other.model.eval()
    return other


def anew(seed: int) -> nn.Module:
    return nn.Linear(4, 3)


@pytest.mark.parametrize("what", [
    "a weight", "a buffer", "the type of the weights", "a row", "a label", "the mode",
])  # fmt: skip
def test_weights_and_data_are_part_of_the_key(what):
    assert key(Says()) == key(Says(), subject())
    assert key(Says()) != key(Says(), altered(what))


@pytest.mark.parametrize("more", [
    {"seed": 1}, {"threats": (parse("linf:0.1"),)}, {"trusted": subject().batches},
    {"others": {"teacher": nn.Linear(4, 3)}}, {"make": anew}, {"about": {"units": "pt"}},
])  # fmt: skip
def test_seed_threat_reference_and_everything_a_check_may_see_are_part_of_the_key(more):
    assert key(Says(), subject(**more)) == key(Says(), subject(**more))
    assert key(Says()) != key(Says(), subject(**more))


def test_a_threat_is_known_by_its_settings():
    keys = {key(Says(), subject(threats=(parse(t),))) for t in ("linf:0.1", "linf:0.2", "l2:0.1")}
    assert len(keys) == 3


def test_the_goal_is_part_of_the_key():
    y = torch.zeros(4, dtype=torch.int64)
    goals = [None, Untargeted(y), Untargeted(y + 1), Targeted(y)]
    assert len({key(Aimed(goal=g)) for g in goals}) == len(goals)
    assert key(Aimed(goal=Untargeted(y))) == key(Aimed(goal=Untargeted(y.clone())))


def test_settings_and_ingredients_are_part_of_the_key():
    assert len({key(Says()), key(Says(value=0.8)), key(Says(name="b")), key(Clean())}) == 4
    nets = [nn.Linear(4, 3), nn.Linear(4, 3)]
    assert key(Aimed(teacher=nets[0])) != key(Aimed(teacher=nets[1]))
    assert key(Aimed(teacher=nets[0])) == key(Aimed(teacher=nets[0]))
    assert Aimed(teacher=nets[0]) == Aimed(teacher=nets[1]), "the contents are not compared"


def test_a_setting_of_a_method_inside_a_setting_is_part_of_the_key():
    from holdfast.core.catalog import build

    few, many = (WorstCase(attacks=(build("attack:pgd", steps=n),)) for n in (5, 6))
    assert key(few) != key(many)


def test_the_version_of_torch_and_the_default_type_are_part_of_the_key(monkeypatch):
    before = key(Says())
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    newer = key(Says())
    monkeypatch.undo()
    try:
        torch.set_default_dtype(torch.float64)
        wide = cell_key(Says(), subject_key(subject(model=nn.Linear(4, 3).float())))
        narrow_rows = key(Says())
    finally:
        torch.set_default_dtype(torch.float32)
    assert len({before, newer, wide, narrow_rows}) == 4 and key(Says()) == before


CACHED = (source._file, source._text, source._direct, source.source_digest, source.named)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package's sources that may be edited."""
    root = tmp_path_factory.mktemp("tree") / "holdfast"
    shutil.copytree(source.ROOT, root, ignore=shutil.ignore_patterns("__pycache__", "*.html"))
    return root


@pytest.fixture
def edited(tree, monkeypatch):
    """Adds a line to a module of the copy, while keys are taken from the copy."""
    monkeypatch.setattr(source, "ROOT", tree)
    before: dict[Path, str] = {}

    def edit(module: str) -> None:
        file = tree.joinpath(*module.split(".")[1:]).with_suffix(".py")
        before.setdefault(file, file.read_text("utf-8"))
        file.write_text(before[file] + "\n# changed\n", "utf-8")
        for cached in CACHED:
            cached.cache_clear()

    for cached in CACHED:
        cached.cache_clear()
    yield edit
    for file, text in before.items():
        file.write_text(text, "utf-8")
    for cached in CACHED:
        cached.cache_clear()


@pytest.mark.parametrize(("module", "clean", "worst"), [
    ("holdfast.checks.clean", True, False),  # the check's own module
    ("holdfast.attacks.pgd", False, True),  # a method that is named as a setting
    ("holdfast.attacks.climb", False, True),  # what that method imports
    ("holdfast.run.search", False, True),  # the judge
    ("holdfast.ops.statistics", True, True),  # below both
    ("holdfast.core.records", True, True),  # the vocabulary
    ("holdfast.merge.soup", False, False),  # of no concern to either
    ("holdfast.report.page", False, False),
])  # fmt: skip
def test_the_sources_behind_a_method_are_part_of_the_key(edited, module, clean, worst):
    assert importlib.util.find_spec(module), "moved: name its new place here"
    checks = (Clean(), WorstCase(attacks=("attack:pgd",)))
    before = [key(c) for c in checks]
    assert [key(c) for c in checks] == before
    edited(module)
    after = [key(c) for c in checks]
    assert [a != b for a, b in zip(before, after, strict=True)] == [clean, worst]


@pytest.mark.parametrize(("module", "counts"), [
    ("holdfast.readers.onnx_operators.elementwise", True),  # computes what the file names
    ("holdfast.readers.onnx", True),
    ("holdfast.merge.soup", False),
])  # fmt: skip
def test_the_code_that_carries_out_an_onnx_file_is_part_of_the_key(edited, module, counts):
    assert importlib.util.find_spec(module), "moved: name its new place here"
    read, plain_ = subject(model=OnnxModel(nn.Linear(4, 3))), subject()
    before = [subject_key(s) for s in (read, plain_)]
    edited(module)
    after = [subject_key(s) for s in (read, plain_)]
    assert [a != b for a, b in zip(before, after, strict=True)] == [counts, False]


def test_methods_named_in_the_source_of_a_check_are_reached():
    names = {entry.key for entry in parts(WorstCase(attacks=("attack:pgd",)))}
    assert "attack:pgd" in names and "attack:square" in names, "self-checks use a black box"
    assert not any(name.startswith("merge:") for name in names)


def made(folder: Path, text: str) -> nn.Module:
    """A module from a file, as a reader loads it."""
    (folder / "own.py").write_text(text)
    spec = importlib.util.spec_from_file_location("own", folder / "own.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.Own()
    return model


OWN = """from torch import nn


def scale():
    return {}


class Own(nn.Module):
    def forward(self, x):
        return x[:, :3] * scale()
"""


def test_the_users_own_code_is_part_of_the_key(tmp_path):
    first = subject_key(subject(model=made(tmp_path, OWN.format(1))))
    same = subject_key(subject(model=made(tmp_path, OWN.format(1))))
    other = subject_key(subject(model=made(tmp_path, OWN.format(2))))
    assert first == same != other, "the function beside the class changed"


def one_of(x):
    return x[:, :3]


def another(x):
    return x[:, 1:4]


class Called:
    def __init__(self, shift: int) -> None:
        self.shift = shift

    def __call__(self, x):
        return x[:, :3] + self.shift

    def __repr__(self) -> str:
        return f"Called({self.shift})"


def test_any_callable_has_a_key():
    models = [one_of, another, partial(one_of), Called(0), Called(1)]
    keys = [subject_key(subject(model=m)) for m in models]
    assert len(set(keys)) == len(models)
    assert keys == [subject_key(subject(model=m)) for m in models]


def test_names_and_places_are_no_part_of_the_key():
    for about in ({"name": "another"}, {"path": "/somewhere"}, {"command": "holdfast audit"}):
        assert subject_key(subject()) == subject_key(subject(about=about))


def test_the_preflight_is_asked_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("holdfast.run.looked.preflight", lambda s: asked.append(s) or [])
    kept = Cells(tmp_path)
    looked(subject(), kept)
    looked(subject(), kept)
    assert len(asked) == 1
    looked(subject(seed=1), kept)
    looked(subject(), kept, resume=False)
    looked(subject())
    assert len(asked) == 4
    with pytest.raises(ConfigError):
        looked(subject(seed=2), kept, first=partial(refuse, "no"))
    looked(subject(), kept, first=partial(refuse, "never called for what is known"))


def refuse(why: str) -> None:
    raise ConfigError(why)


def test_a_torn_or_foreign_cell_is_asked_again(tmp_path):
    store = Store(tmp_path)
    (outcome,) = audit(suite(Says()), subject(), store=store).outcomes
    (file,) = store.cells.rglob("*.json")
    text = file.read_text()
    for torn in ("", "{", text[:-40], text.replace('"sha256"', '"sha255"'), "[]", "null", "\x00"):
        file.write_text(torn)
        assert Cells(store.cells).get(outcome.cell) is None
    file.write_bytes(b"\xff\xfe")
    assert Cells(store.cells).get(outcome.cell) is None
    again = audit(suite(Says()), subject(), store=store)
    assert plain(again.outcomes[0].findings) == plain(outcome.findings)
    assert Cells(store.cells).get(outcome.cell) is not None
