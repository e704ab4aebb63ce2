"""Hidden states mixed between rows, against the same written out."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.objectives.manifold_mixup import ManifoldMixup
from holdfast.ops.simplex import beta
from holdfast.run.training import TrainingRun

X = torch.rand(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BATCH = Batch(X, torch.tensor([0, 1, 2, 0, -100, 1]), torch.arange(6))


def net(bend: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(4, 7), bend, nn.Linear(7, 5), deepcopy(bend), nn.Linear(5, 3)
        ).double()


def run_of(model: nn.Module, seed: int = 0) -> TrainingRun:
    return TrainingRun(model, nn.ModuleDict(), Dice.of(6, seed), 1)


def drawn(seed: int, alpha: float = 2.0) -> tuple[float, Tensor]:
    dice = Dice.of(6, seed).spawn("manifold")
    share = float(beta(dice.one().uniform(dtype=torch.float64), alpha))
    return share, torch.randperm(6, generator=dice.generator("partner"))


@pytest.mark.parametrize(("name", "before"), [("", 0), ("0", 1), ("2", 3), ("3", 4)])
def test_the_named_layer_is_mixed_and_the_labels_alike(name: str, before: int) -> None:
    model = net(nn.Tanh())
    share, partner = drawn(5)
    h = model[:before](X)
    z = model[before:](share * h + (1 - share) * h[partner])
    first, second = (F.cross_entropy(z, y, reduction="none", ignore_index=-100)
                     for y in (BATCH.y, BATCH.y[partner]))  # fmt: skip
    found = ManifoldMixup(layers=(name,))(run_of(model, 5), BATCH)
    assert torch.allclose(found, share * first + (1 - share) * second, atol=1e-12)
    assert not model._modules["0"]._forward_hooks and not model._modules["2"]._forward_hooks


def test_on_a_linear_net_every_layer_gives_the_same() -> None:
    model = net(nn.Identity())
    found = [ManifoldMixup(layers=(n,))(run_of(model), BATCH) for n in ("", "0", "2")]
    assert torch.allclose(found[0], found[1]) and torch.allclose(found[0], found[2])


def test_every_layer_but_the_last_is_drawn() -> None:
    model, seen = net(nn.Tanh()), set()
    single = {n: ManifoldMixup(layers=(n,)) for n in ("", "0", "2")}
    for seed in range(30):
        found = ManifoldMixup()(run_of(model, seed), BATCH)
        seen |= {n for n, o in single.items() if torch.equal(o(run_of(model, seed), BATCH), found)}
    assert seen == {"", "0", "2"}


def test_without_alpha_nothing_is_mixed_and_lost_layers_are_said() -> None:
    model = net(nn.Tanh())
    plain = F.cross_entropy(model(X), BATCH.y, reduction="none", ignore_index=-100)
    assert torch.equal(ManifoldMixup(alpha=0.0)(run_of(model), BATCH), plain)
    with pytest.raises(Unsupported, match="no layer 'head'"):
        ManifoldMixup(layers=("head",))(run_of(model), BATCH)


def test_a_layer_that_is_used_twice_is_mixed_once() -> None:
    bend = nn.Tanh()
    model = net(bend)
    model[3] = bend
    share, partner = drawn(0)
    h = model[:2](X)
    z = model[2:](share * h + (1 - share) * h[partner])
    first, second = (F.cross_entropy(z, y, reduction="none", ignore_index=-100)
                     for y in (BATCH.y, BATCH.y[partner]))  # fmt: skip
    found = ManifoldMixup(layers=("1",))(run_of(model), BATCH)
    assert torch.allclose(found, share * first + (1 - share) * second, atol=1e-12)
