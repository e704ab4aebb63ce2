"""A training that ended in the constant answer is told, in the terminal and on the card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.cli.front import run

ARCH = """
from torch import nn


def table():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
"""


@pytest.mark.parametrize(("radius", "stuck"), [("0.02", False), ("0.6", True)])
def test_a_constant_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    radius: str, stuck: bool,
) -> None:  # fmt: skip
    """Two blobs 0.4 apart: within 0.6 every row can be either, so one answer is all there is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.py").write_text(ARCH)
    g = torch.Generator().manual_seed(4)
    y = torch.arange(200) % 2
    x = 0.3 + 0.4 * y[:, None] + 0.02 * torch.randn(200, 4, generator=g)
    np.savez(tmp_path / "rows.npz", x=x.clamp(0, 1).numpy(), y=y.numpy())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    rest = f"--threat linf:{radius} --epochs 30 --recipe pgd-at --no-audit --budget 60s"
    line = ["harden", "net.pt", "--arch", "two.py:table", "--data", "rows.npz", *rest.split()]
    assert run([*line, "-o", "h.safetensors"]) == 0
    told = "gives the answer" in capsys.readouterr().err
    notes = json.loads(Path("h.json").read_text())["notes"]
    assert told == stuck and any("gives the answer" in n for n in notes) == stuck
