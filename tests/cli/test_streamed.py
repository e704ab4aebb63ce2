"""`holdfast audit --stream`: killed or not, the same bytes; what cannot be swept says so."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from tests.cli.forked import Forks
from tests.cli.world import toml
from tests.readers.test_shards import parquet, table

from holdfast.cli.front import run
from holdfast.readers import shards as module

NET = "from torch import nn\n\n\ndef build():\n    return nn.Linear(2, 3)\n"
WORDS = "audit net.pt --arch net.py:build --data shards --threat linf:0.02 --stream".split()
ASK = [*WORDS, "--exit-zero", "--profile", "suite.toml"]


@pytest.fixture
def laid(tmp_path) -> Path:
    folder = tmp_path / "laid"
    for k in range(4):
        parquet(folder / "shards" / f"{k}.parquet", **table(3000, k))
    weight = torch.tensor([[2.0, -1], [-1.0, 2], [0.3, 0.3]])
    torch.save({"weight": weight, "bias": torch.zeros(3)}, folder / "net.pt")
    (folder / "net.py").write_text(NET)
    suite = toml("clean", "slices", "worst-case", "calibration", "ood")
    (folder / "suite.toml").write_text(suite)
    return folder


def results(folder: Path) -> bytes:
    (file,) = folder.glob(".holdfast/runs/*/results.json")
    return file.read_bytes()


def test_a_streamed_audit_tells_all_rows_and_what_it_left_out(laid, monkeypatch, capsys):
    monkeypatch.setattr(module, "MOST", 1000)
    monkeypatch.chdir(laid)
    assert run(ASK) == 0
    found = json.loads(results(laid))
    read = {r["name"]: r for o in found["outcomes"] for f in o["findings"] for r in f["readings"]}
    for name in ("clean.accuracy", "calibration.ece", "clean.worst_class"):
        assert name in read
    assert read["clean.accuracy"]["n"] == read["attacks.worst@linf:0.02"]["n"] == 12_000
    assert found["subject"]["data"]["n"] == 12_000
    left = [n for n in found["not_tested"] if n.get("check") == "check:ood"]
    assert len(left) == 1 and "in memory" in left[0]["reason"]
    assert "--stream" in found["command"]
    assert len(list(laid.glob(".holdfast/rows/*/part-*.parquet"))) == 3 * 12
    assert {o["check"] for o in found["outcomes"]} == {
        f"check:{k}" for k in ("clean", "slices", "worst-case", "calibration", "ood")
    }  # fmt: skip
    assert "on 12,000 rows" in capsys.readouterr().err
    before = results(laid)
    shutil.rmtree(laid / ".holdfast" / "cells")
    assert run(ASK) == 0 and results(laid) == before, "from the rows alone"


def test_samples_and_references_are_refused(laid, monkeypatch, capsys):
    monkeypatch.chdir(laid)
    for more in (["--limit", "10"], ["--reference", "shards"]):
        assert run([*ASK, *more]) == 2
        told = capsys.readouterr().err
        assert "E0199" in told and more[0] in told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks and clocks of Linux")
def test_a_killed_sweep_goes_on_with_the_parts_it_has(laid, tmp_path):
    forks = Forks()
    try:
        for name in ("straight", "killed"):
            shutil.copytree(laid, tmp_path / name)
        straight, killed = tmp_path / "straight", tmp_path / "killed"
        timed = forks.run(straight, ASK)
        assert timed["code"] == 0, (straight / "err").read_text()
        done, moment = 0, timed["seconds"] * 0.5
        for _ in range(6):
            first = forks.run(killed, ASK, (signal.SIGKILL, moment))
            done += first["code"] == -signal.SIGKILL
            moment *= 0.9
            if first["code"] == 0:
                shutil.rmtree(killed / ".holdfast")
        kept = {f: f.stat().st_mtime_ns for f in killed.glob(".holdfast/rows/*/part-*.parquet")}
        assert done, "it was never killed"
        assert forks.run(killed, ASK)["code"] == 0, (killed / "err").read_text()
        assert results(killed) == results(straight)
        assert all(f.stat().st_mtime_ns == when for f, when in kept.items())
    finally:
        forks.close()
