"""Recipes that learn from teachers get them by `--teacher`, and the card names them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.world import build, lay
from torch import nn

from holdfast.cli.front import run
from holdfast.cli.lesson import Lesson, lesson
from holdfast.cli.teachers import Teacher, places, taught_by
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.objectives.mtard import TwoTeachers
from holdfast.objectives.penalized import Penalized
from holdfast.objectives.taught import Taught
from holdfast.recipes.standard import Standard
from holdfast.threats.norms import LInf

LINE = ["harden", "student.pt", "--arch", "net.py:build", "--data", "rows.npz", "--no-audit"]
LINE += ["--threat", "linf:0.05", "-o", "hard.safetensors"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained network is the teacher; the student knows nothing yet."""
    monkeypatch.chdir(tmp_path)
    lay(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        torch.save(build().state_dict(), tmp_path / "student.pt")
        torch.save(nn.Linear(36, 12).state_dict(), tmp_path / "other.pt")
    return tmp_path


def test_a_student_learns_from_answers_alone(folder):
    # The labels are drawn by lot: what is right can only come from the teachers.
    rows = np.load("rows.npz")
    lot = np.random.default_rng(0).permutation(rows["y"])
    np.savez("lot.npz", x=rows["x"], y=lot)
    words = [*LINE, "--recipe", "objective:mtard", "--epochs", "8"]
    words[words.index("rows.npz")] = "lot.npz"
    assert run([*words, "--teacher", "net.pt", "--teacher", "net.pt"]) == 0
    card = json.loads(Path("hard.json").read_text())
    assert [t["source"] for t in card["teachers"]] == ["net.pt", "net.pt"] and card["against"]
    from safetensors.torch import load_file

    student, teacher = build(), build()
    student.load_state_dict(load_file("hard.safetensors"))
    teacher.load_state_dict(torch.load("net.pt"))
    x = torch.from_numpy(rows["x"])
    same = student(x).argmax(1) == teacher(x).argmax(1)
    assert float(same.double().mean()) > 0.9
    told = Path("hard.md").read_text()
    assert told.count(f"- Teacher: `net.pt`, digest {card['teachers'][0]['digest'][:12]}") == 2
    assert "--teacher net.pt --teacher net.pt" in told


def test_missing_teachers_are_named_with_the_option_that_brings_them(folder, capsys):
    assert run([*LINE, "--recipe", "objective:mtard", "--epochs", "1"]) == 2
    err = capsys.readouterr().err
    assert "E0180" in err and "--teacher CLEAN --teacher ROBUST" in err
    assert run([*LINE, "--recipe", "objective:mtard", "--teacher", "net.pt"]) == 2
    assert "learns from 2 (clean, robust), and 1 teachers" in capsys.readouterr().err
    assert run([*LINE, "--recipe", "trades", "--teacher", "net.pt"]) == 2
    assert "Leave out --teacher" in capsys.readouterr().err
    assert not Path("hard.safetensors").exists()


def test_a_teacher_of_other_classes_is_refused(folder, capsys):
    Path("wide.py").write_text(
        "from torch import nn\n\n\ndef build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5))\n"
    )
    words = [*LINE, "--recipe", "objective:taught", "--teacher", "wide.py:build"]
    assert run(words) == 2
    err = capsys.readouterr().err
    assert "E0211" in err and "5 outputs, the model 3" in err


def test_another_teacher_is_another_run(folder):
    first, second = (Teacher("a", nn.Linear(4, 3)), Teacher("b", nn.Linear(4, 3)))
    made = lesson("objective:taught", LInf())
    keys = {digest(taught_by(made, [t]).recipe) for t in (first, second)}
    assert len(keys) == 2


def test_teachers_come_in_the_order_of_their_places_and_within_sums():
    inner = Penalized(base=TwoTeachers(), penalty=Taught(), weight=1.0)
    made = Lesson("own", Standard(objective=inner))
    assert places(made.recipe) == ["clean", "robust", "teacher"]
    models = [nn.Linear(4, 3) for _ in range(3)]
    got = taught_by(made, [Teacher("t", m) for m in models]).recipe.objective
    assert [got.base.clean, got.base.robust, got.penalty.teacher] == models
    assert made.recipe.objective.base.clean is None
    with pytest.raises(ConfigError, match="learns from 3"):
        taught_by(made, [Teacher("t", models[0])])
