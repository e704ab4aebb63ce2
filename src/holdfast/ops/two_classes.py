"""Two classes around opposite means: the best linear rule under attack, and what it gets right."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def attacked_mean(mean: Tensor, radius: float) -> Tensor:
    """The mean that is left when every coordinate of a row may be moved by the radius.

    `sign(m) max(|m| - radius, 0)`: with rows `x ~ N(y m, s^2 I)` the best linear rule against an
    l-inf adversary is the best one without, for this mean. Coordinates whose mean the adversary
    can cancel get no weight at all.

    Args:
        mean: `(d,)` of the positive class; that of the negative one is its opposite.
        radius: of the l-inf ball.
    """
    return mean.sign() * (mean.abs() - radius).clamp(min=0)


def best_rule(mean: Tensor, sigma: float, ratio: float, radius: float) -> tuple[Tensor, float]:
    """Weights and threshold of the rule `w x > t` that errs least under attack.

    Args:
        mean: `(d,)` of the positive class.
        sigma: standard deviation of each coordinate.
        ratio: negative rows per positive row.
        radius: of the l-inf ball; 0 for the best rule without an adversary.
    """
    return attacked_mean(mean, radius), sigma**2 * math.log(ratio) / 2


def class_accuracies(
    rule: tuple[Tensor, float], mean: Tensor, scale: float, *, tail: float = 2.0
) -> tuple[float, float]:
    """Accuracy on positive and on negative rows, without attack.

    Coordinates are independent and symmetric stable about their means: normal with standard
    deviation `scale` at tail 2, Cauchy with that scale at tail 1. A weighted sum of them is again
    stable, with the tail-norm of the weights times the scale; so the accuracies are
    `F((w m - t) / c)` and `F((w m + t) / c)`.

    The difference of the two is what imbalance does: it grows with `|t| / c`, and weights that an
    adversary has shortened make it grow. What turns `w` away from the mean costs both classes.

    Args:
        rule: weights and threshold.
        mean: `(d,)` of the positive class.
        scale: of each coordinate.
        tail: 2 (normal) or 1 (Cauchy).

    Raises:
        ValueError: for another tail.
    """
    w, threshold = rule
    if tail not in (1.0, 2.0):
        raise ValueError(f"class_accuracies: tail must be 1 or 2, got {tail}")
    spread = scale * float(torch.linalg.vector_norm(w.double(), tail))
    if spread == 0:  # a constant rule: everything is negative unless the threshold is below 0
        return float(threshold < 0), float(threshold >= 0)
    signal = float(w.double() @ mean.double())
    ends = [(signal - threshold) / spread, (signal + threshold) / spread]
    found = torch.tensor(ends, dtype=torch.float64)
    if tail == 2.0:
        shares = torch.special.ndtr(found)
    else:
        shares = 0.5 + found.atan() / math.pi
    return float(shares[0]), float(shares[1])
