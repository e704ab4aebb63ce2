"""GRACE finds the layer in which safe and adversarial answers can be told apart."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batch, Batches
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Run
from holdfast.layers.layer_pool import LayerPool
from holdfast.measures.outputs.vulnerability import avqi
from holdfast.objectives.grace import Grace
from holdfast.run.loop import Training

ROWS, LAYERS, WIDTH, TOLD = 180, 4, 32, 2


@settings
class _Swapped(Grace):
    """The mutant: takes unsafe answers for safe ones and safe ones for unsafe."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        y = torch.tensor([1, 0, 2])[batch.y]
        return super().__call__(run, batch._replace(y=y))


@settings
class _Reversed(Grace):
    """The mutant: climbs the loss."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return -super().__call__(run, batch)


KINDS = {"": Grace, "swaps-safe-and-unsafe": _Swapped, "climbs": _Reversed}


def states(seed: int) -> tuple[Tensor, Tensor]:
    """States of four layers; in one of them all adversarial answers lie apart from safe ones.

    In the others jailbreaks lie where safe answers do, and unsafe ones a little off. What an
    answer is about is noise that all layers share, as in a residual stream.
    """
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(ROWS) % 3
    way = torch.nn.functional.normalize(torch.randn(LAYERS, WIDTH, generator=g), dim=1)
    h = 0.3 * torch.randn(ROWS, 1, WIDTH, generator=g)
    h = h + 0.1 * torch.randn(ROWS, LAYERS, WIDTH, generator=g)
    off = (y == 1).float()[:, None].expand(-1, LAYERS).clone()
    off[:, TOLD] = 2 * (y > 0).float()
    return h + off[:, :, None] * way, y


def trial(seed: int, mutant: str = "") -> Trial:
    """The index of pooled embeddings after and before the profile is learned."""
    h, y = states(seed)
    pool = LayerPool(LAYERS)
    with torch.no_grad():
        before = pool(h)
    loss = KINDS[mutant](margin=3.0)
    plan = Training(objective=loss, epochs=15, optimizer=Later("torch:Adam", lr=0.1))
    plan(pool, Batches(x=h, y=y, size=60))
    with torch.no_grad():
        after = pool(h)

    def apart(z: Tensor) -> float:
        return float((z[y == 0].mean(0) - z[y > 0].mean(0)).norm())

    def among(z: Tensor) -> float:
        return float((z[y == 1].mean(0) - z[y == 2].mean(0)).norm())

    left, right = avqi(after, y).value, avqi(before, y).value
    moved = apart(after) > apart(before) and among(after) < among(before)
    return Trial(left, right, left < right and moved and float(pool.profile[TOLD]) > 0.5)


CLAIM = Claim(
    paper="alkali-grace-avqi",
    methods=("objective:grace", "measure:avqi"),
    says="Of four layers of which one tells safe from adversarial answers, GRACE gives it more "
    "than half of the weight; safe and adversarial answers move apart, unsafe ones and jailbreaks "
    "together, and the vulnerability index falls.",
    left="vulnerability index after training",
    right="vulnerability index of an even profile",
    trial=trial,
    mutants=("swaps-safe-and-unsafe", "climbs"),
    seeds=(0, 1, 2),
    seconds=5,
)
