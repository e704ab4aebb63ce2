"""Two moons that one coordinate tells apart: whether the curved boundary is learned as well."""

from __future__ import annotations

from functools import cache, partial

import torch
from torch import Tensor, nn

from holdfast.claims.fitted import accuracy, drawn
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Loss
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.decoupled import spectral_decoupling
from holdfast.objectives.supervised import Supervised
from holdfast.run.loop import Training

WEIGHT, ROWS, STEPS = 0.012, 300, 1000


def starved(seed: int, margin: float) -> tuple[Tensor, Tensor]:
    """Moons whose first coordinate tells the classes apart by a margin, if it is positive.

    The curved boundary lies in both coordinates; a net that has found the straight one has no
    error left to learn it from.
    """
    from sklearn.datasets import make_moons

    points, labels = make_moons(n_samples=ROWS, noise=0.1, random_state=seed)
    x, y = torch.tensor(points, dtype=torch.float32), torch.tensor(labels).long()
    sign = 2.0 * y - 1
    x[:, 0] -= 0.5
    x[:, 1] -= 0.3 * y
    x[:, 1] -= x[:, 1].mean()
    x[:, 1] = -sign * x[:, 1].abs() - sign * margin
    return x.flip(1), y


def _rewarded(outputs: Outputs, target: Tensor) -> Tensor:
    """Bug: the wrong sign."""
    z = logits(outputs)
    return 2 * cross_entropy(z, target) - spectral_decoupling(z, target, weight=WEIGHT / 100)


def _of_the_mean(outputs: Outputs, target: Tensor) -> Tensor:
    """Bug: the price is on the mean logit, which the loss does not see."""
    z = logits(outputs)
    return cross_entropy(z, target) + WEIGHT / 2 * z.mean(-1).square()


LOSSES: dict[str, Loss] = {
    "": partial(spectral_decoupling, weight=WEIGHT), "plain": cross_entropy,
    "wrong-sign": _rewarded, "mean-logit": _of_the_mean,
}  # fmt: skip


@cache
def _curved(seed: int, kind: str, margin: float = 0.1) -> float:
    """Accuracy where the easy coordinate is its mean in all rows, between the classes."""
    x, y = starved(seed, margin)
    model = drawn(lambda: nn.Sequential(nn.Linear(2, 500), nn.ReLU(), nn.Linear(500, 2)), seed)
    plan = Training(
        objective=Supervised(loss=LOSSES[kind]), epochs=STEPS, schedule="constant",
        optimizer=Later("torch:SGD", lr=0.01, momentum=0.9),
    )  # fmt: skip
    plan(model, Batches(x=x, y=y, size=ROWS), dice=Dice.of(ROWS, seed))
    test, labels = starved(seed + 100, margin)
    test[:, 0] = test[:, 0].mean()
    return accuracy(model.eval(), test, labels)


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy without the easy coordinate, with the price on logits and without."""
    left, right = _curved(seed, mutant), _curved(seed, "plain")
    return Trial(left, right, left > right + 0.1)


CLAIM = Claim(
    paper="spectral-decoupling",
    methods=("loss:spectral-decoupling", "recipe:spectral-decoupling"),
    says="On moons that one coordinate tells apart, a price of 0.012 on the squared logits gains "
    "more than ten points of accuracy where that coordinate is its mean in all rows.",
    left="accuracy with the easy coordinate at its mean, with the price",
    right="without",
    trial=trial,
    seeds=(1, 2, 3),
    mutants=("wrong-sign", "mean-logit"),
    seconds=30,
    quick=False,
    known="does not hold",
    why="500 units bend their boundary with plain cross-entropy too: 0.75, 0.76, 0.71 against "
    "0.67, 0.65, 0.65 with the price",
)
