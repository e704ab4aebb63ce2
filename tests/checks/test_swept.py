"""A sweep part by part gives the numbers that the same rows give in memory."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from holdfast.checks.calibration import Calibration
from holdfast.checks.clean import Clean
from holdfast.checks.corruptions import Corruptions
from holdfast.checks.swept import SweptClean, SweptSlices, named
from holdfast.checks.swept_calibration import SweptCalibration
from holdfast.checks.swept_changes import SweptCorruptions, SweptWorst, holding
from holdfast.checks.worst_case import WorstCase
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.records import Subject
from holdfast.run.partitions import Partitions
from holdfast.run.plan import name_of
from holdfast.threats.norms import LInf

N = 230


@dataclass
class Memory:
    """Rows in memory that are handed out as if they were shards."""

    whole: Batches
    size: int
    keep: str
    reads: int = 0

    def __len__(self) -> int:
        return len(self.whole)

    def __repr__(self) -> str:
        return f"memory {self.size}"

    def parts(self) -> Any:
        for start in range(0, len(self), self.size):
            yield SimpleNamespace(start=start, count=min(self.size, len(self) - start))

    def read(self, part: Any) -> Batches:
        self.reads += 1
        return self.whole.take(slice(part.start, part.start + part.count))


class Net(nn.Module):
    """Bright columns, through weights that are a little wrong."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.randn(3 * 8 * 8, 3, generator=draw))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight


@pytest.fixture
def subject() -> Subject:
    draw = torch.Generator().manual_seed(0)
    x, net = torch.rand(N, 3, 8, 8, generator=draw), Net()
    y = net(x).argmax(1)
    y[::5] = (y[::5] + 1) % 3
    rows = Batches(x=x, y=y, size=64)
    return Subject(model=net, batches=rows, trusted=rows, threats=(LInf(radius=0.002),))


def readings(check: Any, subject: Subject) -> dict[str, Any]:
    return {r.name: r for f in check(subject) for r in f.readings}


@pytest.mark.parametrize("size", [50, 64, 1000])
def test_numbers_are_those_of_memory_for_every_size_of_parts(subject, tmp_path, size):
    source = Memory(subject.batches, size, str(tmp_path))
    clean = readings(SweptClean(source=source), subject)
    assert clean["clean.accuracy"] == readings(Clean(), subject)["clean.accuracy"]
    assert clean["clean.majority"] == readings(Clean(), subject)["clean.majority"]
    mine = readings(SweptCalibration(source=source), subject)["calibration.ece"]
    other = readings(Calibration(), subject)["calibration.ece"]
    assert mine.value == pytest.approx(other.value, abs=1e-6)
    assert mine.low == pytest.approx(other.low, abs=0.02)
    assert mine.high == pytest.approx(other.high, abs=0.02)


def test_attacks_and_corruptions_draw_as_in_memory(subject, tmp_path):
    source, attacks = Memory(subject.batches, 50, str(tmp_path)), ("attack:fgsm", "attack:pgd")
    name = "attacks.worst@linf:0.002"
    mine = readings(SweptWorst(source=source, attacks=attacks), subject)[name]
    other = readings(WorstCase(attacks=attacks, probes=0), subject)[name]
    assert (mine.value, mine.low, mine.high, mine.n) == (
        other.value, other.low, other.high, other.n
    )  # fmt: skip
    assert 0 < mine.value < 0.8
    kinds, levels = ("gaussian-noise", "contrast"), (0.2, 1.0)
    swept = SweptCorruptions(source=source, kinds=kinds, severities=levels)
    usual = Corruptions(shifts=tuple(f"shift:{k}" for k in kinds), severities=levels)
    mine, other = (readings(c, subject)["corruptions.mean"] for c in (swept, usual))
    assert mine.value == pytest.approx(other.value, abs=1e-12)
    assert mine.low == pytest.approx(other.low, abs=0.01)


def test_parts_that_are_there_are_not_made_again(subject, tmp_path):
    source = Memory(subject.batches, 50, str(tmp_path))
    first = readings(SweptClean(source=source), subject)
    assert source.reads == 5
    assert readings(SweptClean(source=source), subject) == first
    readings(SweptSlices(source=source), subject)
    assert source.reads == 5, "slices read the columns of accuracy"
    files = sorted(tmp_path.rglob("part-*.parquet"))
    files[1].unlink()
    files[3].write_bytes(b"PAR1 damaged")
    assert readings(SweptClean(source=source), subject) == first
    assert source.reads == 7
    moved = replace(subject, model=nn.Sequential(nn.Flatten(), nn.Linear(192, 3)))
    readings(SweptClean(source=source), moved)
    assert source.reads == 12, "another model, other columns"


def test_the_worst_class_is_named(subject, tmp_path):
    rows = subject.batches
    rows.y[:] = torch.where(rows.y == 2, 1, rows.y)
    (found,) = SweptSlices(source=Memory(rows, 50, str(tmp_path)))(subject)
    right = subject.model(rows.x).argmax(1) == rows.y
    worst = min((float(right[rows.y == k].float().mean()), k) for k in (0, 1))
    assert found.readings[0].value == pytest.approx(worst[0])
    assert f"class {worst[1]} " in found.says


def test_outputs_that_are_not_finite_are_counted(subject, tmp_path):
    class Holes(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).masked_fill(x[:, 0, 0, :1] > 0.9, torch.nan)

    broken = replace(subject, model=Holes())
    found = readings(SweptClean(source=Memory(subject.batches, 64, str(tmp_path))), broken)
    holes = int((subject.batches.x[:, 0, 0, 0] > 0.9).sum())
    assert found["clean.nonfinite"].value == pytest.approx(holes / N)
    assert found["clean.accuracy"] == readings(Clean(), broken)["clean.accuracy"]


def test_rows_outside_the_box_are_not_attacked(subject, tmp_path):
    wide = replace(subject.batches, x=subject.batches.x * 3)
    with pytest.raises(Unsupported, match="outside"):
        readings(SweptWorst(source=Memory(wide, 64, str(tmp_path))), subject)


def test_what_cannot_stream_keeps_its_name_and_says_why():
    import pickle

    held = holding(WorstCase())
    assert name_of(held) == "check:worst-case" and held.question == WorstCase.question
    again = pickle.loads(pickle.dumps(held))
    assert (name_of(again), again.section) == ("check:worst-case", "attacks")
    with pytest.raises(Unsupported, match="in memory"):
        list(again(Subject()))


def test_sums_are_exact_over_any_number_of_parts(tmp_path):
    many = Partitions(tmp_path / "p[0]*")
    sizes = [1, 7, 3, 0, 5]
    starts = [(sum(sizes[:k]), n) for k, n in enumerate(sizes)]
    many.fill(starts, lambda k: {"v": torch.arange(sizes[k]), "b": torch.ones(sizes[k]) > 0})
    assert many.ask("count(*), sum(v), countif(b)") == [(16, 0 + 21 + 3 + 10, 16)]


def test_a_swept_question_bears_its_usual_name_and_travels(subject, tmp_path):
    swept = SweptClean(source=Memory(subject.batches, 50, str(tmp_path)))
    own = named(swept, "clean")
    assert name_of(own) == "check:clean" and own.question == swept.question
    again = pickle.loads(pickle.dumps(own))
    assert name_of(again) == "check:clean" and again.alpha == own.alpha
    assert readings(again, subject) == readings(own, subject) == readings(swept, subject)
