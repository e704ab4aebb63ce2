"""An audit of a TorchScript program: every check answers, or says why it cannot."""

from __future__ import annotations

import json

import pytest
import torch
from tests.cli.world import CHECKS, build, lay, toml

from holdfast.cli.front import run


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_compiled_programs_are_audited(how, tmp_path, monkeypatch):
    folder = lay(tmp_path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "known"))
    model = build()
    model.load_state_dict(torch.load("net.pt", weights_only=True))
    model.eval()
    made = torch.jit.trace(model, torch.rand(2, 1, 6, 6)) if how == "traced" else None
    torch.jit.save(made or torch.jit.script(model), "program.pt")
    (folder / "every.toml").write_text(toml(*CHECKS))
    words = ["audit", "program.pt", "--data", "rows.npz", "--threat", "linf:0.05"]
    assert run([*words, "--profile", "every.toml"]) == 2  # nobody said --trust
    assert run([*words, "--profile", "every.toml", "--trust"]) in (0, 1, 3)
    (results,) = folder.glob(".holdfast/runs/*/results.json")
    outcomes = json.loads(results.read_text())["outcomes"]
    assert not [o["error"] for o in outcomes if o.get("error")]
    skipped = {o["check"]: o["skipped"] for o in outcomes if o.get("skipped")}
    assert list(skipped) == ["check:curvature"] and "TorchScript" in skipped["check:curvature"]
