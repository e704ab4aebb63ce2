"""Two audits on one store at once: both finish, nothing is lost, nobody meets a lock."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.forked import child
from tests.cli.world import WORDS, lay
from tests.reliability.small_audit import CELLS, audited, ended, in_fork

from holdfast.run.cells import Cells
from holdfast.run.store import Store

PAIRS = 8

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks of Linux")


def entered(folder: Path) -> set[tuple[str, str]]:
    """Run and cell of every line of a ledger that passes its own examination."""
    with closing(sqlite3.connect(Store(folder).ledger.path)) as link:
        assert link.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return set(link.execute("SELECT run, cell FROM cells"))


def test_pairs_of_audits_lose_no_cell(tmp_path, figure):
    audited(tmp_path / "alone", lambda cell, found: None)
    expected = (tmp_path / "alone" / "runs" / "r" / "results.json").read_bytes()
    cells = lost = 0
    for k in range(PAIRS):
        folder, names = tmp_path / str(k), ("r", "r" if k % 2 else "other")
        both = [in_fork(folder, lambda: None, name) for name in names]
        for name, (process, heard) in zip(names, both, strict=True):
            code, named = ended(process, heard)
            assert code == 0 and len(named) == CELLS
            whole, known = Cells(Store(folder).cells), entered(folder)
            lost += sum(whole.get(c) is None or (name, c) not in known for c, _ in named)
            cells += len(named)
            assert (folder / "runs" / name / "results.json").read_bytes() == expected
        assert {r.state for r in Store(folder).ledger.runs()} == {"finished"}
    figure("pairs of audits on one store", f"{PAIRS}; cells {cells}, lost: {lost}")
    assert lost == 0


@pytest.mark.slow
def test_two_commands_on_one_folder_both_finish(tmp_path, figure):
    """Different questions and the same ones, each as a person types them."""
    laid, pairs = lay(tmp_path), (("few.toml", "all.toml"), ("few.toml", "few.toml"))
    for k, pair in enumerate(pairs):
        folder = tmp_path / f"pair{k}"
        shutil.copytree(laid, folder, ignore=shutil.ignore_patterns("pair*"))
        processes = []
        for place, suite in enumerate(pair):
            if not (process := os.fork()):
                os.chdir(folder)
                os.mkdir(mine := f"streams{place}")
                child(str(folder), [*WORDS, suite, "--exit-zero"], mine)
            processes.append(process)
        codes = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in processes]
        told = "".join(f.read_text() for f in folder.glob("streams*/*"))
        assert codes == [0, 0], told
        assert "locked" not in told and "Traceback" not in told
        found = list(folder.glob(".holdfast/runs/*/results.json"))
        assert len(found) == len(set(pair))
        for file in found:
            cells = {o["cell"] for o in json.loads(file.read_text())["outcomes"]}
            assert {c for r, c in entered(folder / ".holdfast") if r == file.parent.name} == cells
    figure("pairs of commands on one folder", f"{len(pairs)}; stopped by a lock: 0")
