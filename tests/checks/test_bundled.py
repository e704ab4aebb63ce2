"""Data sets that scikit-learn carries, read without it: the same numbers as its own loaders."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from sklearn import datasets

from holdfast.checks import bundled
from holdfast.ops.carried import carried


@pytest.mark.parametrize("name", sorted(bundled.TABLES))
def test_tables_are_those_of_the_library(name: str) -> None:
    raw = torch.tensor(getattr(datasets, f"load_{name.replace('-', '_')}")().data)
    low, high = raw.amin(0), raw.amax(0)
    assert torch.equal(bundled._table(name), (raw - low) / (high - low).clamp(min=1e-12))


def test_photographs_are_those_of_the_library() -> None:
    theirs = [torch.tensor(p).permute(2, 0, 1) for p in datasets.load_sample_images().images]
    assert torch.equal(bundled._photos(), torch.stack(theirs))


def test_a_release_without_the_files_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "carried", lambda *parts: None)
    before = bundled._photos(), bundled._table("wine")
    for loaded in (bundled._photos, bundled._table):
        loaded.cache_clear()
    assert torch.equal(bundled._photos(), before[0])
    assert torch.equal(bundled._table("wine"), before[1])
    for loaded in (bundled._photos, bundled._table):
        loaded.cache_clear()


def test_a_file_that_is_not_there_is_none() -> None:
    assert carried("data", "iris.csv") is not None
    assert carried("data", "no such file.csv") is None


def test_foreign_inputs_need_no_import_of_the_library() -> None:
    code = (
        "import sys, torch\n"
        "from holdfast.checks.foreign import foreign\n"
        "from holdfast.core.dice import Dice\n"
        "y = torch.arange(4)\n"
        "made = foreign(torch.rand(4, 1, 8, 8), y, Dice(0, y, 'x'))\n"
        "made |= foreign(torch.rand(4, 13), y, Dice(0, y, 'x'))\n"
        "assert 'far: photographs' in made and 'far: wine' in made, made\n"
        "assert 'sklearn' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
