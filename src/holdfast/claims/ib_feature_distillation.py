"""Channels that bear noise say more of the label of adversarial inputs than the others."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.attacks.cw import CW
from holdfast.attacks.features import NonRobustFeatures
from holdfast.attacks.pgd import PGD
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.quiet import quiet
from holdfast.measures.model import channels as file
from holdfast.measures.model.channels import variances
from holdfast.measures.model.feature_split import feature_split
from holdfast.measures.model.site import Site
from holdfast.run.search import search
from holdfast.threats.norms import L2, LInf

ROWS, FEW = 150, 60


@cache
def net(seed: int) -> nn.Sequential:
    """A small convolutional net with 16 maps of 4 by 4."""
    train, _ = digits(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
        )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train.whole.x), train.y).backward()
        optimizer.step()
    model.zero_grad()
    return model.eval()


@cache
def attacked(seed: int) -> Batches:
    """Held-out digits, changed by PGD within 0.2, with their true labels."""
    _, test = digits(seed)
    x: Any = test.whole.x
    rows, y = x[:ROWS], test.y[:ROWS]
    threat = LInf(radius=0.2)
    found = search(PGD(steps=20), net(seed), rows, Untargeted(y), threat)
    return Batches(x=threat.apply(rows, found.change), y=y, size=ROWS)


def _spread(features: Tensor) -> Tensor:
    """Bug: standard deviations where variances belong."""
    return variances(features).sqrt()


def _needs(seed: int) -> bool:
    """Noise of an ignored channel grows to its variance; of a needed one it stays below."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(20, 3, 4, 4, generator=g)
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(48, 4))
    with torch.no_grad():
        weight = torch.randn(4, 3, 16, generator=g) * torch.tensor([0.0, 1.0, 30.0])[None, :, None]
        model.get_parameter("2.weight").copy_(weight.flatten(1))
        model.get_parameter("2.bias").zero_()
        y = model(x).argmax(1)
    with quiet(model):
        found = file.channels(Site(model, "0", x), x, y, dice=Dice.of(20))
    share = found.noise.square() / variances(x)
    return bool(((share[:, 0] - 1).abs() < 0.1).all() and (share[:, 2].mean() < 1))


@cache
def _attacks(seed: int) -> tuple[float, float]:
    """Shares of rows broken at any length, by the feature attack and by CW at the same price."""
    _, test = digits(seed)
    x: Any = test.whole.x
    goal, threat = Untargeted(test.y[:FEW]), L2(radius=8.0)
    made = (NonRobustFeatures(smallest=True), CW(steps=200, rounds=1, rate=0.1, price=0.1,
                                                 smallest=True))  # fmt: skip
    found = [search(a, net(seed), x[:FEW], goal, threat).broken.double().mean() for a in made]
    return float(found[0]), float(found[1])


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy and agreement of both parts on adversarial inputs; success of both attacks."""
    spread = _spread if mutant == "spread-for-variance" else variances
    with patch.object(file, "variances", spread):
        split = feature_split(net(seed), attacked(seed), layer="3", seed=seed)
        needs = _needs(seed)
    value = {r.name.removeprefix("feature-split."): r.value for r in split.readings()}
    if mutant == "parts-exchanged":
        turned = {"robust": "rest", "rest": "robust"}
        value = {".".join(turned.get(w, w) for w in k.split(".")): v for k, v in value.items()}
    ahead = value["rest.agrees"] > value["robust.agrees"]
    left, right = value["robust.right"], value["rest.right"] + 0.05
    ours, other = _attacks(seed)
    return Trial(left, right, left > right and ahead and needs and ours >= other)


CLAIM = Claim(
    paper="ib-feature-distillation",
    methods=("measure:feature-split", "attack:non-robust-features"),
    says="On adversarial digits channels that bear noise are right more often than the others, by "
    "5 points, and these agree more with the fooled net; noise of an ignored channel grows to its "
    "variance; the attack through them succeeds at least as often as CW at the same price.",
    left="accuracy of the robust channels on adversarial inputs",
    right="accuracy of the other channels plus 5 points",
    trial=trial,
    seeds=(111, 112, 113),
    mutants=("spread-for-variance", "parts-exchanged"),
    seconds=40,
    quick=False,
)
