"""A large net gains robustness from a small teacher in its last layer, and keeps what it had."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from statistics import mean

import torch
from torch import Tensor, nn

from holdfast.claims.digits import accuracy
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.short_runs import net, rows, trained
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.defend.gated import Cut, Gating, Route
from holdfast.hooks.freeze import TuneOnly
from holdfast.objectives.taught import Taught

SEEDS = (31, 32, 33)
WIDTH, LAYERS, NOISE, SHARE = 256, 1, 0.6, 0.6


def spoil(batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
    """Noise on every pixel and light that fades, both with severity."""
    x: Tensor = batch.x  # type: ignore[assignment]
    draw = Dice.of(len(x)) if dice is None else dice
    noise = NOISE * severity * draw.normal(x.shape[1:], dtype=x.dtype)
    return batch._replace(x=((1 - severity / 3) * x + noise).clamp(0, 1))


def _spoilt(data: Batches, seed: int) -> Batches:
    """All rows at the middle severity."""
    moved = spoil(data.whole, 0.6, Dice.of(len(data), seed))
    return Batches(x=moved.x, y=data.y, size=data.size)


@cache
def _large(seed: int) -> nn.Sequential:
    model: nn.Sequential = trained(seed, "objective:supervised", model=net(seed, WIDTH))
    return model


@cache
def _teacher(seed: int) -> nn.Module:
    """A small net that learned rows as they are and spoilt."""
    model: nn.Module = trained(
        seed, Taught(shift=spoil, weight=0.0), model=net(50 + seed), epochs=50
    )
    return model


@cache
def _tuned(seed: int, layers: int, shuffled: bool) -> nn.Sequential:
    teacher: nn.Module = _teacher(seed)
    if shuffled:
        teacher = nn.Sequential(teacher, _Rolled())
    objective = Taught(teacher=teacher, shift=spoil)
    made: nn.Sequential = trained(
        seed, objective, model=deepcopy(_large(seed)), hooks=(TuneOnly(last=layers),)
    )
    return made


class _Rolled(nn.Module):
    """The mutant's teacher: its answers are those of other classes."""

    def forward(self, z: Tensor) -> Tensor:
        return z.roll(1, -1)


def _scores(seed: int, robust: nn.Module, route: Route) -> tuple[float, float]:
    """Accuracy on held-out rows as they are and spoilt, through the gate."""
    data, test = rows(seed)
    cut = Cut.fit(_large(seed), data, _spoilt(data, seed))
    gated = Gating(robust=robust, cut=cut, route=route)(_large(seed))

    def share(part: Batches) -> float:
        x: Tensor = part.x  # type: ignore[assignment]
        with torch.no_grad():
            return float((gated(x).argmax(1) == part.y).double().mean())

    return share(test), share(_spoilt(test, seed + 1))


def _routed(seed: int, mutant: str) -> tuple[float, float]:
    """Accuracy through the gate on usual rows, above that of the original, and on spoilt rows."""
    robust = _tuned(seed, LAYERS, mutant == "answers-of-other-classes")
    route: Route = "clean" if mutant == "never-takes-the-robust-route" else "auto"
    usual, ours = _scores(seed, robust, route)
    return usual - accuracy(_large(seed), rows(seed)[1]), ours


def _few(seed: int) -> bool:
    """Whether less than 60 % of the parameters are tuned."""
    large = _large(seed)
    names = TuneOnly(last=LAYERS).tuned(large)
    sizes = {n: p.numel() for n, p in large.named_parameters()}
    return sum(sizes[n] for n in names) < SHARE * sum(sizes.values())


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy on spoilt rows, gated and original; usual rows must not suffer in the mean."""
    ours = _routed(seed, mutant)[1]
    plain = accuracy(_large(seed), _spoilt(rows(seed)[1], seed + 1))
    lost = mean(_routed(s, mutant)[0] for s in SEEDS)
    return Trial(ours, plain, ours > plain + 0.03 and lost >= -0.005 and _few(seed))


CLAIM = Claim(
    paper="robustify-pretrained",
    methods=("defence:gated", "objective:taught"),
    says="The last layer of a large net, tuned on the answers of a small robust teacher and put "
    "behind a gate, gives more than 3 points of accuracy on spoilt rows over the net as it was, "
    "and costs at most half a point on usual ones, in the mean.",
    left="accuracy on spoilt rows through the gate",
    right="accuracy of the original net on them",
    trial=trial,
    seeds=SEEDS,
    mutants=("never-takes-the-robust-route", "answers-of-other-classes"),
    seconds=20,
    quick=False,
)
