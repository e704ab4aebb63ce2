"""Imbalance of slopes, the masking gap, and the confidence report against known values."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from holdfast.core.data import Batch, Batches
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import readings
from holdfast.measures.model.imbalance import gradient_imbalance
from holdfast.measures.model.masking import masking_gap
from holdfast.measures.outputs.calibration import ece
from holdfast.measures.outputs.confidence import confidence_report
from holdfast.objectives.distilled import Distilled
from holdfast.testing.laws.objective import losses_of, world
from holdfast.testing.worlds import two_class


def test_imbalance_is_the_ratio_of_the_weights_of_a_linear_model() -> None:
    model = nn.Linear(5, 3).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([1.0, -4.0, 0.0])[:, None].expand(3, 5))
        model.bias.copy_(torch.tensor([3.0, 20.0, -9.0]))
    x = torch.rand(4, 5, dtype=torch.float64)
    batches = Batches(x=x, y=torch.tensor([0, 1, 0, 2]))
    ratio = gradient_imbalance(model, batches).ratio
    assert ratio.tolist() == pytest.approx([4.0, 4.0, 4.0, 1.0])  # no slope at all: nothing hidden


def test_imbalance_needs_a_slope() -> None:
    with pytest.raises(Unsupported):
        gradient_imbalance(
            lambda x: x.detach(), Batches(x=torch.rand(2, 3), y=torch.tensor([0, 1]))
        )


def test_masking_gap_of_a_linear_world_is_its_closed_form_until_logits_are_large() -> None:
    world = two_class(64)
    batches = Batches(x=world.x, y=world.y)
    exact = (world.worst(0.1, torch.inf) < 0).tolist()
    honest = masking_gap(world.model, batches, radius=0.1)
    assert honest.margin.tolist() == honest.entropy.tolist() == exact
    assert not honest.masked and honest.gap == 0

    def large(x: Tensor) -> Tensor:
        return (1e4 * world.model(x)).float()

    hidden = masking_gap(large, batches, radius=0.1)
    assert hidden.margin.tolist() == exact and hidden.masked
    assert hidden.entropy.double().mean() > 0.95
    assert hidden.readings()[0].flags and not hidden.readings()[1].flags


def test_confidence_agrees_with_scikit_learn_and_plain_sums() -> None:
    g = torch.Generator().manual_seed(3)
    z, y = 2 * torch.randn(1000, 4, generator=g, dtype=torch.float64), torch.randint(
        4, (1000,), generator=g
    )  # fmt: skip
    report = confidence_report(z, y)
    p = z.softmax(1).amax(1)
    right = z.argmax(1) == y
    assert report.auroc == pytest.approx(roc_auc_score(right.numpy(), p.numpy()), abs=1e-12)
    assert report.overconfidence == pytest.approx(float(p.mean() - right.double().mean()))
    found = {r.name: r for r in report.readings()}
    assert found["confidence.wrong"].value == pytest.approx(float(p[~right].mean()))
    sure = float((p[~right] > 0.9).double().mean())
    assert found["confidence.sure-and-wrong"].value == pytest.approx(sure)
    least = p[right].sort().values[int(0.05 * int(right.sum()))]
    assert report.false_alarms == pytest.approx(
        float((p[~right] >= least).double().mean()), abs=0.01
    )
    naive = sum(
        float(part.double().mean()) * abs(float(p[part].mean() - right[part].double().mean()))
        for k in range(15)
        if (part := (p > k / 15) & (p <= (k + 1) / 15)).any()
    )
    assert readings(ece(z, y))[0].value == pytest.approx(naive, abs=1e-9)


def test_distilled_is_the_cross_entropy_with_softened_answers() -> None:
    model, batch = world()
    teacher = nn.Linear(4, 3).double()
    objective = Distilled(teacher=teacher, temperature=7.0)  # type: ignore[arg-type]
    q = (teacher(batch.x) / 7).softmax(1)
    naive = -(q * (model(batch.x) / 7).log_softmax(1)).sum(1)
    assert torch.allclose(losses_of(objective, model, batch), naive)
    plain = losses_of(Distilled(temperature=1.0), model, Batch(batch.x, batch.y, batch.index))
    assert torch.allclose(
        plain, nn.functional.cross_entropy(model(batch.x), batch.y, reduction="none")
    )
