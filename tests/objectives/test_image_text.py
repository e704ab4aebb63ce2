"""Contrastive training of two towers under attack against its formulas."""

from __future__ import annotations

from copy import deepcopy
from math import exp, log

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.layers.zero_shot import ZeroShot
from holdfast.objectives.image_text import AdversarialContrastive, FareLoss, matched
from holdfast.run.training import TrainingRun
from holdfast.threats.norms import LInf


def test_aligned_orthogonal_pairs_and_a_single_pair():
    eye, scale = torch.eye(5).double(), torch.tensor(3.0).double()
    true = log(1 + 4 * exp(-3.0))
    assert torch.allclose(matched(eye, eye, scale), torch.full((5,), true).double())
    assert float(matched(eye[:1], eye[:1], scale)) == 0.0


def towers() -> tuple[nn.Module, nn.Module, Batch]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image, text = nn.Linear(6, 4).double(), nn.Embedding(9, 4).double()
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return image, text, Batch(x, torch.arange(5), torch.arange(5))


def test_without_a_change_it_is_the_contrastive_loss_and_attacked_it_is_larger():
    image, text, batch = towers()

    def loss(radius: float) -> torch.Tensor:
        made = AdversarialContrastive(text=text, threat=LInf(radius=radius), temperature=0.1)
        run = TrainingRun(image, nn.ModuleDict(), Dice.of(5), 1)
        run.parts["objective"] = made.parts(image)
        return made(run, batch)

    u, v = F.normalize(image(batch.x), dim=1), F.normalize(text(batch.y), dim=1)
    alike = 10 * u @ v.T
    rows = [-(alike[i].log_softmax(0)[i] + alike[:, i].log_softmax(0)[i]) / 2 for i in range(5)]
    assert torch.allclose(loss(0.0), torch.stack(rows))
    assert float(loss(0.2).mean()) > float(loss(0.0).mean()) + 0.05
    told = batch._replace(more={"text": torch.arange(5) + 4})
    made = AdversarialContrastive(text=text, threat=LInf(radius=0.0), temperature=0.1)
    run = TrainingRun(image, nn.ModuleDict({"objective": made.parts(image)}), Dice.of(5), 1)
    assert not torch.allclose(made(run, told), loss(0.0))


def test_a_tuned_tower_starts_at_nothing():
    image, _, batch = towers()
    old = deepcopy(image)
    run = TrainingRun(image, nn.ModuleDict(), Dice.of(5), 1)
    still = FareLoss(reference=old, threat=LInf(radius=0.0))
    assert float(still(run, batch).abs().max()) == 0.0
    moved = FareLoss(reference=old, threat=LInf(radius=0.1))(run, batch)
    weight = image.weight.detach()
    most = max(float((0.1 * weight @ torch.tensor(s).double()).square().sum())
               for s in __import__("itertools").product((-1.0, 1.0), repeat=6))  # fmt: skip
    assert bool((moved > 0).all()) and float(moved.max()) <= most + 1e-9


def test_zero_shot_logits_are_scaled_cosines():
    image, text, batch = towers()
    model = ZeroShot(image, text.weight, scale=7.0)
    true = 7 * F.cosine_similarity(image(batch.x)[:, None], text.weight[None], dim=2)
    assert torch.allclose(model(batch.x), true)
