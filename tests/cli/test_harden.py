"""What harden writes is what it measured: the same file audits to the same numbers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.cli.front import run
from holdfast.cli.harden import harden
from holdfast.cli.prepare import subject_of
from holdfast.cli.school import School, enrolled, kept_apart
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.readers.join import split

ARCH = """
import torch
from torch import nn


def picture():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                         nn.Linear(48, 3))


def table():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def function():
    return lambda x: x.flatten(1)[:, :3]
"""
NONE = {
    "arch": None, "mean": None, "std": None, "target": None, "max_bytes": None, "seed": 0,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    (tmp_path / "net.py").write_text(ARCH)
    y = torch.arange(120) % 3
    x = 0.4 * torch.rand(120, 2, 6, 6)
    for k in range(3):
        x[y == k, :, :, 2 * k : 2 * k + 2] += 0.5
    np.savez(tmp_path / "rows.npz", x=x.numpy(), y=y.numpy())
    torch.save(built("picture").state_dict(), tmp_path / "net.pt")
    lines = ["a,b,c,d,y"]
    values = torch.randn(100, 4) * torch.tensor([1.0, 10.0, 100.0, 0.1])
    lines += [",".join(f"{v:.5g}" for v in r) + f",{int(r[0] > 0)}" for r in values.tolist()]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    torch.save(built("table").state_dict(), tmp_path / "table.pt")
    return tmp_path


def built(name: str) -> nn.Module:
    space: dict[str, object] = {}
    exec(ARCH, space)
    made = space[name]()  # type: ignore[operator]
    assert isinstance(made, nn.Module)
    return made


@pytest.mark.parametrize(
    ("model", "data", "more"),
    [
        ("net.pt", "rows.npz", {"arch": "net.py:picture", "mean": "0.5,0.4", "std": "0.2,0.3"}),
        ("net.pt", "rows.npz", {"arch": "net.py:picture"}),
        ("table.pt", "table.csv", {"arch": "net.py:table", "target": "y"}),
        ("net.py:picture", "rows.npz", {"mean": "0.5", "std": "0.25"}),
    ],
)
def test_the_written_file_is_the_model_that_was_measured(folder, monkeypatch, model, data, more):
    schools: list[School] = []

    def kept(*words: object, **settings: object) -> School:
        schools.append(enrolled(*words, **settings))  # type: ignore[arg-type]
        return schools[-1]

    monkeypatch.setattr("holdfast.cli.taught.enrolled", kept)
    words = [w for k, v in more.items() for w in (f"--{k}", v)]
    line = ["harden", model, "--data", data, "--threat", "linf:0.05", "--budget", "20s", *words]
    before = [p.clone() for p in built("table").parameters()]
    words = ["--epochs", "1", "--no-audit", "-o", "hard.safetensors"]
    assert before and run([*line, *words]) == 0
    (school,) = schools
    arch = more.get("arch", model)
    chosen = NONE | more | {"arch": arch, "data": data, "threat": ["linf:0.05"], "reference": data}
    asked = subject_of("hard.safetensors", chosen)
    assert asked.batches is not None
    same = {r.numpy().tobytes(): k for k, r in enumerate(asked.batches.x)}
    place = torch.tensor([same[r.numpy().tobytes()] for r in school.held.x])
    with torch.no_grad():
        assert torch.equal(school.model(school.held.x), asked.model(asked.batches.x[place]))
    card = Path("hard.md").read_text()
    assert not Path("hard.training").exists()
    assert "held-out rows" in card and "linf:0.05" in card and f"--arch {arch}" in card


def test_a_tenth_of_every_class_is_held_out_and_equal_rows_stay_together():
    y = torch.arange(300) % 3
    x = torch.rand(300, 5)
    x[150:180] = x[120:150]
    learn, held = kept_apart(Batches(x=x, y=y), 0)
    assert len(learn) + len(held) == 300 and 30 <= len(held) <= 36
    assert all(9 <= int((held.y == k).sum()) <= 13 for k in range(3))
    both = {r.numpy().tobytes() for r in learn.x} & {r.numpy().tobytes() for r in held.x}
    assert not both
    again = kept_apart(Batches(x=x.flip(0), y=y.flip(0)), 0)[1]
    assert {r.numpy().tobytes() for r in again.x} == {r.numpy().tobytes() for r in held.x}


def test_half_learns_nothing_that_the_next_audit_measures(folder):
    x, y = torch.rand(240, 2, 6, 6), torch.arange(240) % 3
    np.savez("more.npz", x=x.numpy(), y=y.numpy())
    chosen = NONE | {"arch": "net.py:picture"}
    school = enrolled("net.pt", "more.npz", "linf:0.05", chosen, half=True, trust=False)
    asked = subject_of("net.pt", chosen | {"data": "more.npz", "threat": ["linf:0.05"]})
    assert asked.batches is not None and len(asked.batches) == len(split(Batches(x=x, y=y))[1])
    seen = {r.numpy().tobytes() for r in (*school.learn.x, *school.held.x)}
    assert not seen & {r.numpy().tobytes() for r in asked.batches.x}


def test_the_budget_is_kept(folder):
    x, y = torch.rand(3000, 2, 6, 6), torch.arange(3000) % 3
    np.savez("many.npz", x=x.numpy(), y=y.numpy())
    begun = time.monotonic()
    line = ["harden", "net.pt", "--data", "many.npz", "--arch", "net.py:picture"]
    assert run([*line, "--epochs", "1000", "--budget", "3s", "--no-audit"]) == 0
    assert time.monotonic() - begun < 60  # a thousand epochs would take many minutes
    assert Path("net-trades.safetensors").exists() and Path("net-trades.md").exists()


def test_what_cannot_be_trained_or_written_is_refused(folder, capsys):
    with pytest.raises(Unsupported, match="no weights"):
        enrolled("net.py:function", "rows.npz", "linf:0.05", NONE, half=False, trust=False)
    common = {"data": "rows.npz", "arch": "net.py:picture"}
    with pytest.raises(ConfigError, match="E0129"):
        harden("net.pt", recipe="none", **common)
    with pytest.raises(ConfigError, match="Did you mean trades"):
        harden("net.pt", recipe="trade", **common)
    assert run(["harden", "net.pt", "--data", "rows.npz", "-o", "net.pt"]) == 2
    assert "E0130" in capsys.readouterr().err
