"""Sure answers taught on changed rows, against the same written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.fixmatch import FixMatch
from holdfast.run.training import TrainingRun


def brighter(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Every row a little larger, by an amount of its own that its dice say."""
    by = severity * (0.1 + dice.uniform((4,), dtype=batch.x.dtype))
    return batch._replace(x=batch.x + by)


def net(scale: float = 6.0) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Linear(4, 3).double()
    with torch.no_grad():
        model.weight.mul_(scale)
    return model


X = torch.rand(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, UNLABELLED, UNLABELLED, UNLABELLED, UNLABELLED, 1])
BATCH = Batch(X, Y, 20 + torch.arange(8))


def run_of(model: nn.Module) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice(0, BATCH.index), 1)


@pytest.mark.parametrize("weak", [0.0, 0.3])
def test_the_formula_row_by_row(weak: float) -> None:
    model, dice = net(), Dice(0, BATCH.index)
    asked = X if not weak else brighter(BATCH, weak, dice.spawn("weak")).x
    strong = brighter(BATCH, 1.0, dice.spawn("strong")).x
    p = model(asked).softmax(1).detach()
    sure = float(p[3:7].max(1).values.sort().values[1:3].mean())  # two of four are sure
    objective = FixMatch(shift=brighter, weak=weak, sure=sure, weight=2.0)
    expected = []
    for row in range(8):
        if Y[row] != UNLABELLED:
            expected.append(F.cross_entropy(model(asked)[row], Y[row]))
        elif p[row].max() >= sure:
            expected.append(2 * F.cross_entropy(model(strong)[row], p[row].argmax()))
        else:
            expected.append(torch.zeros(()).double())
    found = objective(run_of(model), BATCH)
    assert torch.allclose(found, torch.stack(expected), atol=1e-12)
    assert sorted((found[3:7] == 0).tolist()) == [False, False, True, True]
    slopes = [torch.autograd.grad(v, model.weight)[0] for v in (found.sum(), sum(expected))]
    assert torch.allclose(*slopes, atol=1e-12)


def test_with_all_labels_it_is_the_loss_and_nothing_sure_teaches_nothing() -> None:
    model = net()
    full = BATCH._replace(y=torch.arange(8) % 3)
    plain = F.cross_entropy(model(X), full.y, reduction="none")
    assert torch.equal(FixMatch(shift=brighter)(run_of(model), full), plain)
    none = FixMatch(shift=brighter, sure=1.0)(run_of(net(0.1)), BATCH)
    assert torch.equal(none[3:7], torch.zeros(4).double())


def test_shares_of_labels_are_refused() -> None:
    with pytest.raises(Unsupported, match="FixMatch"):
        FixMatch()(run_of(net()), BATCH._replace(y=torch.rand(8, 3)))
