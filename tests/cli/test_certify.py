"""`holdfast certify`: what it says of a small net, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from holdfast.cli.front import run

ARCH = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small trained net for digits."""
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    (tmp_path / "arch.py").write_text(ARCH)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    data = load_digits()
    x, y = torch.tensor(data.images / 16).float(), torch.tensor(data.target)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), "net.safetensors")
    return tmp_path


BASE = ["certify", "net.safetensors", "--arch", "arch.py:make", "--data", "digits", "--limit", "60"]


def told(capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    assert run([*BASE, *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_proved_lies_below_standing_and_shrinks(net: Path, capsys) -> None:
    near = told(capsys, "--threat", "linf:0.01", "-o", "bounds.safetensors")
    far = told(capsys, "--threat", "linf:0.08")
    for one in (near, far):
        assert one["proved"]["value"] <= one["standing"]["value"] <= one["clean"]["value"]
        assert one["proved"]["bound"] == "lower" and one["standing"]["bound"] == "upper"
    assert far["proved"]["value"] < near["proved"]["value"]
    kept = load_file("bounds.safetensors")
    assert int(kept["proved"].sum()) == round(near["proved"]["value"] * 60)
    assert bool((kept["margin"][kept["proved"]] < 0).all())


def test_cheaper_method_proves_less_and_radii_agree(net: Path, capsys) -> None:
    tight = told(capsys, "--threat", "linf:0.04", "--radii")
    loose = told(capsys, "--threat", "linf:0.04", "--method", "ibp")
    complete = told(capsys, "--threat", "linf:0.04", "--method", "bab", "--set", "parts=200")
    assert loose["proved"]["value"] < tight["proved"]["value"] <= complete["proved"]["value"]
    assert 0 < tight["radius"]["mean"] <= 0.04 + 1e-12


def test_smoothing_needs_noise(net: Path, capsys) -> None:
    assert run([*BASE, "--threat", "l2:0.1", "--method", "smoothing"]) == 2
    assert "sigma" in capsys.readouterr().err
    found = told(
        capsys, "--threat", "l2:0.1", "--method", "smoothing", "--sigma", "0.2",
        "--set", "samples=200",
    )  # fmt: skip
    assert found["confidence"] == 0.999
    assert found["radius"]["median"] > 0.1


def test_what_is_refused(net: Path, capsys) -> None:
    assert run([*BASE, "--method", "crwn"]) == 2
    assert "crown" in capsys.readouterr().err
    assert run([*BASE, "-o", "net.safetensors"]) == 2
    assert run([*BASE, "--threat", "rotation:30"]) == 2
    assert "norm ball" in capsys.readouterr().err
