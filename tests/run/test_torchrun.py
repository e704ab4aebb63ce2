"""Two processes under torchrun learn what one process learns."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.processes import two
from torch import nn
from torch.nn import BatchNorm1d

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.hooks.clip import ClipNorm
from holdfast.hooks.ema import EMA
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.loop import Control, Training
from holdfast.threats.norms import LInf

PLAIN = Training(optimizer=Later("torch:SGD", lr=0.3, momentum=0.9), epochs=2)
RICH = Training(
    objective=AdversarialTraining(threat=LInf(radius=0.05), attack=PGD(steps=2, climb="soft")),
    optimizer=Later("optimizer:sam", base=Later("torch:AdamW", lr=0.01)),
    hooks=(ClipNorm(limit=0.1), EMA(decay=0.8)),
    accumulate=2,
    epochs=2,
)


def data() -> Batches:
    """41 rows: the last step has a single one, and so one process has none."""
    x = torch.rand(41, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=8)


def net(norm: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mid = [BatchNorm1d(12)] if norm else []
        return nn.Sequential(nn.Linear(6, 12), *mid, nn.ReLU(), nn.Linear(12, 3)).double()


class Stop:
    """Asks to stop at a step, in one process only."""

    def __init__(self, at: int, here: bool) -> None:
        self.at, self.here = at, here

    def __call__(self, run: object) -> bool:
        return self.here and run.step == self.at  # type: ignore[attr-defined,no-any-return]


def results(folder: Path, rank: int) -> dict[str, object]:
    """What one process ends with: run alone, or as one of two."""
    found: dict[str, object] = {}
    for name, plan in (("plain", PLAIN), ("rich", RICH)):
        model = net()
        if rank:
            nn.init.zeros_(model[0].weight)  # the first process's weights count
        run = plan(model, data())
        found[name] = [model.state_dict(), run.history]
    whole, model = net(norm=True), net(norm=True)
    plan = replace(RICH, epochs=3)
    history = plan(whole, data()).history
    first = plan(model, data(), control=Control(folder=folder, progress=Stop(4, rank == 1)))
    other = net(norm=True)
    second = plan(other, data(), control=Control(folder=folder))
    found["resumed"] = [whole.state_dict(), other.state_dict(), history, second.history]
    found["stopped"] = [first.step, first.stopped]
    return found


def main() -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    rank, folder = int(os.environ["RANK"]), Path(sys.argv[1])
    torch.save(results(folder / "kept", rank), folder / f"{rank}.pt")


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    with two(__file__, str(tmp_path), folder=tmp_path) as launched:
        _, said = launched.communicate(timeout=300)
    assert launched.returncode == 0, said
    alone = results(tmp_path / "alone", 0)
    for rank in range(2):
        pair = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in ("plain", "rich"):
            (ours, history), (theirs, other) = alone[name], pair[name]
            for key, value in ours.items():
                assert torch.allclose(value, theirs[key], rtol=0, atol=1e-9), (name, key)
            losses = [[row["loss"] for row in rows] for rows in (history, other)]
            assert losses[0] == pytest.approx(losses[1], abs=1e-9)
        whole, resumed, history, again = pair["resumed"]
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
        assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in again])
        assert pair["stopped"] == [4, "asked"]


if __name__ == "__main__":
    main()
