"""Foreign sources in the keys of cells: all that a plugin imports of its own, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from holdfast.checks.clean import Clean
from holdfast.checks.worst_case import WorstCase
from holdfast.run.cells import cell_key
from holdfast.run.foreign import behind, foreign_digest, is_foreign, keyed


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("alone_x", "pack_x", "beside_x"):
            del sys.modules[name]
    behind.cache_clear()


def test_a_file_counts_with_those_beside_it_and_with_ours_behind_it(folder):
    (folder / "beside_x.py").write_text("STEPS = 2\n")
    text = "import numpy\nfrom beside_x import STEPS\n\ndef f():\n    import holdfast.ops.batch\n"
    (folder / "alone_x.py").write_text(text)
    import_module("alone_x")
    found = behind("alone_x")
    assert set(found) == {"alone_x", "beside_x", "holdfast.ops.batch"}
    assert found["beside_x"] == "STEPS = 2\n"


def test_a_package_counts_with_its_relative_and_late_imports_only(folder):
    pack = folder / "pack_x"
    (pack / "deep").mkdir(parents=True)
    (folder / "beside_x.py").write_text("")
    (pack / "__init__.py").write_text("import beside_x\n")
    (pack / "deep" / "__init__.py").write_text("from ..lengths import A\n")
    (pack / "lengths.py").write_text("A = 1\n\ndef late():\n    from . import later\n")
    (pack / "later.py").write_text("B = 2\n")
    (pack / "never.py").write_text("C = 3\n")
    import_module("pack_x.deep")
    found = set(behind("pack_x.deep"))
    assert found == {"pack_x.deep", "pack_x", "pack_x.lengths", "pack_x.later"}


def test_what_is_ours_keeps_its_key():
    for check in (Clean(), WorstCase()):
        assert foreign_digest(check) == ""
        assert keyed(check, "subject") == cell_key(check, "subject")
    assert not is_foreign("holdfast.attacks.pgd") and not is_foreign("functools")
    assert is_foreign("holdfast_more") and not is_foreign("torch.nn")
