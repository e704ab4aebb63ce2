"""Rewards of pairs before and after rewording, by hand."""

import pytest
import torch

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.measures.text.reward import preferred, reward_robustness
from holdfast.objectives.paraphrase import ParaphraseConsistency
from holdfast.run.training import TrainingRun


def test_ties_count_half_and_nan_loses() -> None:
    z = torch.tensor([[2.0, 1.0], [1.0, 1.0], [0.0, 1.0], [float("nan"), 0.0]])
    assert preferred(z).tolist() == [1.0, 0.5, 0.0, 0.0]
    assert float(preferred(torch.zeros(9, 2)).mean()) == 0.5


def test_by_hand() -> None:
    z = torch.tensor([[2.0, 1.0], [3.0, 1.0], [0.0, 2.0]])
    rows = torch.tensor([True, False, True])
    same = torch.ones(3, dtype=torch.bool)
    found = reward_robustness(z, {"a": (rows, torch.tensor([[1.0, 2.0], [3.0, 2.0]])),
                                  "same": (same, z)})  # fmt: skip
    assert found.drop("a") == 0.0  # one lost, one gained
    assert found.flips("a") == 1.0 and found.worst() == ("a", 0.5)
    assert found.drop("same") == found.flips("same") == found.moved("same") == 0
    assert found.moved("a") == pytest.approx(1.25 / float(z.double().std(correction=0)))
    names = [r.name for r in found.readings()]
    assert names == ["reward.accuracy", "reward.a.drop", "reward.a.flips", "reward.same.drop",
                     "reward.same.flips"]  # fmt: skip
    with pytest.raises(ShapeError):
        reward_robustness(z, {"a": (rows, z)})


def test_without_weight_it_is_bradley_and_terry() -> None:
    model = torch.nn.Linear(3, 2)
    batch = Batch(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64), torch.arange(5))
    run = TrainingRun(model, torch.nn.ModuleDict(), Dice.of(5), 1)
    r = model(batch.x)
    plain = -torch.nn.functional.logsigmoid(r[:, 0] - r[:, 1])
    assert torch.allclose(ParaphraseConsistency(weight=0.0)(run, batch), plain, atol=1e-6)
    with pytest.raises(Unsupported):
        ParaphraseConsistency()(run, batch)
    other = batch._replace(more={"paraphrase": batch.x + 1})
    far = (model(batch.x + 1) - r).square().mean(1)
    assert torch.allclose(ParaphraseConsistency(weight=2.0)(run, other), plain + 2 * far, atol=1e-5)
