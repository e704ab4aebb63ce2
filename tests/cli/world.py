"""A folder with a small trained network, its rows, and suites that ask it in a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

NET = """from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 3))
"""
CHECKS = {
    "clean": "",
    "slices": "",
    "worst-case": 'attacks = ["attack:fgsm", "attack:pgd"]\nlimit = 40\nprobes = 8',
    "certificates": "limit = 40",
    "calibration": "",
    "ood": "limit = 50",
    "corruptions": 'shifts = ["shift:gaussian-noise", "shift:contrast"]\nseverities = [0.2, 1.0]',
    "envelope": "radii = [0.5, 1.0]\nlimit = 40",
    "curvature": "limit = 40\nfew = 8",
    "explanation-stability": "limit = 10",
}
WORDS = "audit net.pt --arch net.py:build --data rows.npz --threat linf:0.05 --profile".split()


def toml(*names: str) -> str:
    """A suite of the checks named, with settings that make them quick."""
    return "\n".join(f'[[check]]\nuse = "check:{n}"\n{CHECKS[n]}' for n in names)


def build() -> nn.Module:
    """The untrained network."""
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 3))


def rows(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of 6 x 6 pixels with one of three columns bright."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    x = torch.rand(n, 1, 6, 6, generator=generator) * 0.3
    for k in range(3):
        x[y == k, :, :, 2 * k : 2 * k + 2] += 0.5
    return x, y


def lay(folder: Path) -> Path:
    """Write the network, its rows and two suites into a folder."""
    x, y = rows()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=40)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        decay = sum(p.square().sum() for p in model.parameters())
        loss = nn.functional.cross_entropy(model(x), y) + 1e-3 * decay
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.save(model.state_dict(), folder / "net.pt")
    np.savez(folder / "rows.npz", x=x.numpy(), y=y.numpy())
    (folder / "net.py").write_text(NET)
    (folder / "all.toml").write_text(toml(*CHECKS))
    (folder / "few.toml").write_text(toml("clean", "slices", "worst-case", "certificates"))
    return folder


def copied(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a folder that several tests share, and the place where commands run from now on."""
    folder = tmp_path / "work"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    return folder
