"""Bad input is said before anything is learned, or the result is right all the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.world import build, lay

from holdfast.cli.front import run
from holdfast.cli.school import labels_fit
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError

LINE = ["harden", "net.pt", "--arch", "net.py:build", "--no-audit", "--threat", "linf:0.05"]
LINE += ["-o", "hard.safetensors", "--recipe", "pgd-at"]
FROZEN = """

def frozen():
    net = build()
    net[1].requires_grad_(False)
    return net


def all_frozen():
    return build().requires_grad_(False)


def lively():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.BatchNorm1d(12), nn.ReLU(),
                         nn.Dropout(0.3), nn.Linear(12, 3))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return lay(tmp_path)


def data(y: torch.Tensor, name: str = "bad.npz") -> list[str]:
    x = torch.rand(len(y), 1, 6, 6, generator=torch.Generator().manual_seed(0))
    np.savez(name, x=x.numpy(), y=y.numpy())
    return ["--data", name]


def weights(name: str = "hard.safetensors") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(name)


def test_labels_without_an_output_are_refused(folder, capsys):
    assert run([*LINE, *data(torch.arange(90) % 5), "--epochs", "1"]) == 2
    assert "of 5 classes" in capsys.readouterr().err
    assert not Path("hard.safetensors").exists()
    rows = Batches(x=torch.rand(6, 1, 6, 6), y=torch.tensor([0, 1, 2, 3, 0, 1]))
    with pytest.raises(ShapeError, match="label 3 names no output, the model has 3"):
        labels_fit(build(), rows)
    with pytest.raises(ShapeError, match="label -1 names no output"):
        labels_fit(build(), Batches(x=torch.rand(2, 1, 6, 6), y=torch.tensor([-1, 2])))


def test_a_missing_class_is_said_and_stands_in_the_card(folder, capsys):
    assert run([*LINE, *data(torch.arange(90) % 2), "--epochs", "1"]) == 0
    assert "no row of class 2" in capsys.readouterr().err
    assert "no row of class 2" in Path("hard.md").read_text()
    whole = Batches(x=torch.rand(6, 1, 6, 6), y=torch.tensor([0, 1, 2, -100, 0, 1]))
    assert labels_fit(build(), whole) == ()


def test_a_run_that_diverges_keeps_the_last_good_state(folder, capsys):
    assert run([*LINE, "--data", "rows.npz", "--epochs", "4", "--rate", "1e30"]) == 2
    told = capsys.readouterr().err
    assert "E0330" in told and "smaller learning rate" in told
    assert not Path("hard.safetensors").exists()


def test_fewer_rows_than_a_batch_and_too_few_to_hold_any_out(folder, capsys):
    assert run([*LINE, *data(torch.arange(30) % 3), "--epochs", "2"]) == 0
    card = json.loads(Path("hard.json").read_text())
    assert card["epochs"] == 2 and card["learned"] < 128
    capsys.readouterr()
    assert run([*LINE, *data(torch.arange(2)), "--epochs", "1", "--fresh"]) == 2
    assert "E0143" in capsys.readouterr().err


def test_frozen_weights_stay_as_they_are(folder, capsys):
    with Path("net.py").open("a") as file:
        file.write(FROZEN)
    line = [*LINE, "--data", "rows.npz", "--epochs", "1"]
    line[line.index("net.py:build")] = "net.py:frozen"
    before = torch.load("net.pt", weights_only=True)
    assert run(line) == 0
    after = weights()
    assert torch.equal(after["1.weight"], before["1.weight"])
    assert not torch.equal(after["3.weight"], before["3.weight"])
    line[line.index("net.py:frozen")] = "net.py:all_frozen"
    assert run(line) == 2 and "E0303" in capsys.readouterr().err


def test_dropout_and_batch_norm_end_in_evaluation_mode_with_sound_statistics(folder):
    with Path("net.py").open("a") as file:
        file.write(FROZEN)
    line = ["harden", "net.py:lively", "--data", "rows.npz", "--no-audit", "--epochs", "2"]
    assert (
        run([*line, "--recipe", "pgd-at", "--threat", "linf:0.05", "-o", "hard.safetensors"]) == 0
    )
    after = weights()
    # 243 rows are two batches an epoch: neither the attack nor the looks count a batch.
    assert int(after["2.num_batches_tracked"]) == 4
    assert all(v.isfinite().all() for v in after.values())
