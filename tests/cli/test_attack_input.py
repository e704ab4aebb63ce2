"""`holdfast attack` on bad data and odd models: an error that teaches, or a flagged number."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.cli.world import copied, lay, rows

from holdfast.cli.front import run

NET = ["attack", "net.pt", "--arch", "net.py:build"]
PGD = ["--attack", "pgd", "--set", "steps=3", "--limit", "30"]
ODD = """
import torch
from torch import nn
from net import build


def kept():
    net = build()
    net.load_state_dict(torch.load("net.pt"))
    return net.eval()


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = kept()

    def forward(self, x):
        z = self.net(x)
        return torch.where(x.flatten(1)[:, :1] > 0.3, torch.nan, z)


class Means(nn.Module):
    def forward(self, x):
        return 10 * torch.stack([x[..., 2 * k : 2 * k + 2].flatten(1).mean(1) for k in range(3)], 1)


broken = lambda: Broken().eval()
double = lambda: kept().double()
brain = lambda: kept().bfloat16()
single = lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 1)).eval()
bare = lambda: Means().eval()
"""


def _odd(y: np.ndarray, label: float) -> np.ndarray:
    return np.where(np.arange(len(y)) == 7, label, y)


DATA = {
    "bytes": lambda x, y: ((255 * x).round(), y), "around-zero": lambda x, y: (2 * x - 1, y),
    "label-too-high": lambda x, y: (x, _odd(y, 5).astype(int)),
    "label-negative": lambda x, y: (x, _odd(y, -3).astype(int)),
    "label-half": lambda x, y: (x, y + 0.5), "labels-missing": lambda x, y: (x, y[:50]),
    "nan": lambda x, y: (np.where(np.arange(len(x))[:, None, None, None] == 3, np.nan, x), y),
    "empty": lambda x, y: (x[:0], y[:0]),
    "wider": lambda x, y: (np.pad(x, [(0, 0)] * 3 + [(0, 1)]), y),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = lay(tmp_path_factory.mktemp("odd"))
    (folder / "odd.py").write_text(ODD)
    x, y = (t.numpy() for t in rows(60))
    for name, made in DATA.items():
        inputs, labels = made(x, y)
        np.savez(folder / f"{name}.npz", x=inputs.astype(np.float32), y=labels)
    return folder


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    folder = copied(world, tmp_path, monkeypatch)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize(("words", "code", "says", "fix"), [
    ([*NET, "--data", "label-too-high.npz"], "E0201", "6 classes", "logits"),
    ([*NET, "--data", "label-negative.npz"], "E0204", "not one class", "-100"),
    ([*NET, "--data", "label-half.npz"], "E0204", "float64", "whole numbers"),
    ([*NET, "--data", "labels-missing.npz"], "E0200", "50 labels", "one label per row"),
    ([*NET, "--data", "nan.npz"], "E0200", "NaN or infinity", "Leave such rows out"),
    ([*NET, "--data", "empty.npz"], "E0137", "no rows", "Check the file"),
    ([*NET, "--data", "wider.npz"], "E0201", "(1, 6, 7)", "belong together"),
    (["attack", "odd.py:double", "--data", "rows.npz"], "E0201", "Double", "torch.float64"),
    (["attack", "odd.py:brain", "--data", "rows.npz"], "E0201", "BFloat16", "torch.bfloat16"),
    (["attack", "odd.py:single", "--data", "rows.npz"], "E0201", "(2, 1)", "logits"),
    ([*NET, "--data", "rows.npz", "--threat", "linf:-1"], "E0101", "radius", "holdfast show"),
    ([*NET, "--data", "rows.npz", "--threat", "linf:nan"], "E01", "nan", ""),
])  # fmt: skip
def test_what_cannot_be_attacked_is_told_apart(here, capsys, words, code, says, fix):
    assert run([*words, *PGD]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    lines = err[err.index(code) :].rstrip().split("\n")
    assert says in lines[0] and fix in lines[-1]


@pytest.mark.parametrize(("name", "range"), [("bytes", "[0, 20"), ("around-zero", "[-1, ")])
def test_inputs_outside_the_range_are_flagged_wherever_the_number_stands(here, capsys, name, range):
    words = [*NET, "--data", f"{name}.npz", "--threat", "linf:0.1", *PGD]
    assert run([*words, "--json"]) == 0
    told, err = capsys.readouterr()
    document = json.loads(told)
    assert any("inputs in range" in flag and range in flag for flag in document["flags"])
    assert document["robust"]["flags"] == document["flags"] and "UserWarning" not in err
    assert run(words) == 0
    assert "truth may be lower" in capsys.readouterr().out.splitlines()[0]


def test_answers_that_are_no_numbers_are_never_robust(here, capsys):
    words = ["attack", "odd.py:broken", "--data", "rows.npz", "--threat", "linf:0.1", *PGD]
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert any("answers are finite" in flag for flag in document["flags"])
    assert document["robust"]["value"] < 1
    assert run(words) == 0
    assert "NaN or infinity" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "value"), [
    (["attack", "odd.py:bare", "--data", "rows.npz", "--threat", "linf:0.01"], 1.0),
    ([*NET, "--data", "rows.npz", "--threat", "linf:0"], 1.0),
    ([*NET, "--data", "rows.npz", "--threat", "linf:1"], 0.0),
])  # fmt: skip
def test_no_parameters_no_radius_and_all_of_it(here, capsys, words, value):
    assert run([*words, *PGD, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["robust"]["value"] == value and document["n"] == 30
