"""Two experts that contradict each other: every exchange of the routing has a known answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.checks.mixture import MixtureOfExperts
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.records import Subject
from holdfast.layers.mixture import TopKMoE
from holdfast.measures.model import routing
from holdfast.measures.model.mixture import forced
from holdfast.measures.model.routing import routing_stability
from holdfast.testing.worlds import linear_layer, two_class
from holdfast.threats.norms import LInf


@contextmanager
def _unheard(layers: Sequence[Any], shares: Sequence[Tensor]) -> Iterator[None]:
    """Bug: forces nothing."""
    yield


@contextmanager
def _uniform(layers: Sequence[Any], shares: Sequence[Tensor]) -> Iterator[None]:
    """Bug: every expert gets the same share."""
    with forced(layers, [torch.full_like(s, 1 / s.shape[1]) for s in shares]):
        yield


def _mixture(world: Any, seed: int) -> TopKMoE:
    """The world's model and its opposite, chosen by the side of a random plane."""
    weight, bias = world.model.weight.detach(), world.model.bias.detach()
    g = torch.Generator().manual_seed(seed)
    way = torch.randn(1, 8, generator=g, dtype=torch.float64)
    router = linear_layer(torch.cat([way, -way]), torch.tensor([-0.5, 0.5]) * way.sum())
    experts: list[nn.Module] = [linear_layer(weight, bias), linear_layer(-weight, -bias)]
    return TopKMoE(experts, router, k=1).eval()


def trial(seed: int, mutant: str = "") -> Trial:
    """Rows right with the attacked routing of the clean input, and rows whose routing stays."""
    world = two_class(rows=200, seed=seed)
    model = _mixture(world, seed)
    with torch.no_grad():
        rows = Batches(x=world.x, y=model(world.x).argmax(1))
    radius = float(world.radius(torch.inf).median())
    threat, attack = LInf(radius=radius), PGD(steps=20)
    bugs = {"forces-nothing": _unheard, "all-experts-alike": _uniform}
    with patch.object(routing, "forced", bugs.get(mutant, forced)):
        found = routing_stability(model, rows, threat=threat, attack=attack, seed=seed)
        subject = Subject(model=model, batches=rows, threats=(threat,), seed=seed)
        (finding,) = MixtureOfExperts(attack=attack)(subject)
    stays = (found.overlap[:, 0] == 1).double().mean()
    left = float(found.right["attacked-routing"].double().mean())
    # With the router held still the model is linear, and its radius known in closed form.
    held = float((world.radius(torch.inf) > radius).double().mean())
    exact = abs(float(found.right["held-router"].double().mean()) - held) <= 0.01
    chance = abs(float(found.right["random-experts"].double().mean()) - 0.5) < 0.15
    same = finding.readings[-1].value == found.readings()[-1].value
    return Trial(left, float(stays), left == float(stays) < 1 and exact and chance and same)


CLAIM = Claim(
    paper="measure:routing-stability",
    methods=("measure:routing-stability", "check:mixture"),
    says="Of two contradicting experts exactly the rows whose routing the attack leaves alone are "
    "right under the attacked routing; a random expert is right half of the time, and with the "
    "router held the accuracy is the closed form of a linear model.",
    left="accuracy of the attacked routing on clean inputs",
    right="share of rows whose routing stays",
    trial=trial,
    seeds=(121, 122, 123),
    mutants=("forces-nothing", "all-experts-alike"),
    seconds=4,
)
