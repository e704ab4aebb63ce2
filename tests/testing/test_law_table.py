"""docs/laws.md names laws that exist, and every kind with methods is in it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from holdfast.core.catalog import entries
from holdfast.core.kinds import KINDS
from holdfast.testing import conform
from holdfast.testing.conform import common_laws, example, laws, subject_of
from holdfast.testing.laws import LawBroken
from holdfast.threats.norms import LInf

TABLE = (Path(__file__).parents[2] / "docs/laws.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(\w+)\.(\w+)`", TABLE)) - {("holdfast", "testing")})


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_every_named_law_exists(module: str, name: str) -> None:
    package = "testing" if module == "conform" else "testing.laws"
    found = importlib.import_module(f"holdfast.{package}.{module}")
    assert callable(getattr(found, name))


def test_the_table_covers_all_common_laws_and_all_kinds_in_use() -> None:
    named = {f"{m}.{n}" for m, n in NAMED}
    assert {f"every.{f.__name__}" for f in common_laws()} <= named
    for kind in {e.kind for e in entries()} - {"check", "backward"}:
        assert any(n.startswith(f"{kind}.") for n in named), kind


def test_every_kind_in_use_has_laws() -> None:
    without = {kind for kind in KINDS if not laws(kind)}
    assert without.isdisjoint({e.kind for e in entries()} - {"check"})


def test_conform_tries_all_laws_and_needs_no_catalogue() -> None:
    assert conform(LInf) == len(laws("threat")) + len(common_laws())

    class Mine(LInf):
        """Somebody's own ball."""

        name = "mine"

    assert conform(Mine(radius=0.1), kind="threat") == len(laws("threat"))

    class Worse(LInf):
        def project(self, x, change):
            return 2 * super().project(x, change)

    with pytest.raises(LawBroken):
        conform(Worse(radius=0.1), kind="threat")


def test_an_example_stands_for_a_method_with_an_ingredient() -> None:
    class Needs:
        def __init__(self, model: object) -> None:
            self.model = model

        @classmethod
        def example(cls, world) -> Needs:
            return cls(world.model)

    assert example(Needs).model is not None
    assert all(subject_of(e) is not None for e in entries())
