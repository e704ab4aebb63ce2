"""Low-rank layers: the closest matrix, exact at full rank, conditioned after each step."""

import numpy as np
import pytest
import torch
from torch import nn

from holdfast.compress.low_rank import LowRankFactors
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.hooks.conditioning import Conditioned
from holdfast.layers.low_rank import LowRank
from holdfast.measures.model.conditioning import condition_numbers
from holdfast.run.loop import Training


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(54, 12), nn.Tanh(), nn.Linear(12, 3),
        ).double()  # fmt: skip


X = torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_full_rank_is_the_same_function() -> None:
    model = net()
    new = LowRankFactors(kept=1.0, spare_head=False)(model)
    assert sum(isinstance(m, LowRank) for m in new.modules()) == 3
    assert torch.allclose(new(X), model(X), atol=1e-12)


def test_it_is_the_closest_matrix_of_its_rank() -> None:
    model = net()
    new = LowRankFactors(kept=0.5)(model)
    w = model[3].weight.detach().numpy()
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    assert np.allclose(new[3].matrix().detach().numpy(), (u[:, :6] * s[:6]) @ vt[:6])
    assert isinstance(new[5], nn.Linear)


@pytest.mark.parametrize(("mode", "most"), [("band", 1.1), ("mean", 1.0)])
def test_every_step_ends_well_conditioned(mode: str, most: float) -> None:
    new = LowRankFactors(kept=0.5)(net())
    seen = []

    def look(run: object) -> None:
        for layer in (m for m in new.modules() if isinstance(m, LowRank)):
            seen.append(float(np.linalg.cond(layer.s.detach().numpy())))
            for w in (layer.u.detach(), layer.v.detach()):
                assert torch.allclose(w.T @ w, torch.eye(w.shape[1]).double(), atol=1e-10)

    from holdfast.run.loop import Control

    plan = Training(
        epochs=3, hooks=(Conditioned(spread=0.1, mode=mode),), optimizer=Later("torch:SGD", lr=0.5)
    )
    plan(new, Batches(x=X, y=torch.arange(5) % 3, size=2), control=Control(progress=look))
    assert len(seen) == 18 and max(seen) <= most + 1e-9


def test_level_keeps_the_mean_square() -> None:
    layer = LowRank(nn.Linear(7, 5).double(), 4)
    before = float(torch.linalg.svdvals(layer.s.detach()).square().mean().sqrt())
    layer.level()
    assert torch.allclose(torch.linalg.svdvals(layer.s.detach()), torch.tensor(before).double())


def test_condition_numbers_are_numpys() -> None:
    model = net()
    found = condition_numbers(model)
    truth = [np.linalg.cond(model[i].weight.detach().flatten(1).numpy()) for i in (0, 3, 5)]
    assert np.allclose(found.layers, truth)
    assert np.isclose(found.product.value, np.log10(truth).sum())
    low = LowRankFactors(kept=0.5)(model)
    s = np.linalg.svd(model[3].weight.detach().numpy(), compute_uv=False)
    assert np.isclose(condition_numbers(low).layers[1], s[0] / s[5])
