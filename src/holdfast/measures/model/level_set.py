"""Walks from one input to another on which a model does not lower its confidence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted, logits
from holdfast.core.inputs import with_slope
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.ops.batch import fit, pick

_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Walk:
    """Where walks along a level set have ended.

    Args:
        x: `(B, ...)` last points.
        start: `(B,)` confidence at the sources.
        confidence: `(B,)` in the same label at the last points.
        trace: `(steps + 1, B)` Euclidean distances to the targets.
    """

    x: Tensor
    start: Tensor
    confidence: Tensor
    trace: Tensor

    @property
    def left(self) -> Tensor:
        """`(B,)`: share of the way to the target that is left; 0 arrives."""
        return self.trace[-1] / self.trace[0].clamp(min=_TINY)


def confidence(model: Model, x: Tensor, label: Tensor) -> Tensor:
    """`(B,)`: probability of each row's label.

    Args:
        model: inputs -> logits `(B, K)`.
        x: inputs.
        label: `(B,)` the class whose probability is asked for.
    """
    chance = logits(model(x)).double().softmax(1)
    return chance.gather(1, label[:, None]).squeeze(1)


def _looked(model: Model, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence, the ascent of the cross-entropy up to its length, and that length's factor.

    The cross-entropy is softplus(h), h = logsumexp of the other logits minus the label's: its
    gradient is sigmoid(h) times that of h, which cannot underflow.
    """
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        outputs = model(point)
        h = Untargeted(label).ways(outputs).logsumexp(1)
        with_slope(h, "a level set")
        (slope,) = torch.autograd.grad(h.sum(), point)
    chance = logits(outputs).detach().double().softmax(1).gather(1, label[:, None]).squeeze(1)
    return chance, slope.nan_to_num(0.0), h.detach().sigmoid()


def traverse(
    model: Model,
    source: Tensor,
    target: Tensor,
    label: Tensor,
    *,
    steps: int = 100,
    step_size: float = 0.05,
    correction: float = 1 / 255,
    drop: float = 0.05,
    jitter: float = 4 / 255,
    low: float = 0.0,
    high: float = 1.0,
    dice: Dice,
) -> Walk:
    """Walks from each source towards its target while the model keeps its confidence.

    Each step goes a share of what is left of the way, less its component along the gradient of
    the cross-entropy, and less a small correction that adds up descent of it. A step that would
    lose more than `drop` of the source's confidence is not taken. On a linear model the walk
    without correction ends at the orthogonal projection of the target onto the level set.

    Args:
        model: inputs -> logits first.
        source: `(B, ...)` where walks begin.
        target: `(B, ...)` where they lead.
        label: `(B,)` whose confidence is kept.
        steps: of the walk.
        step_size: share of the remaining way.
        correction: bound of the correction of a coordinate.
        drop: confidence that may be lost.
        jitter: width of the uniform noise at the start.
        low: least valid input value.
        high: largest valid input value.
        dice: keyed draws of the rows.

    Raises:
        ConfigError: for less than one step or a step size outside (0, 1].
        Unsupported: if no gradient reaches the input.

    Cost: `steps + 2` forward and `steps + 1` backward passes.

    Unlike the released code a proposal's forward pass serves the next step too, and the gradient
    is projected by its direction alone, so that confident rows are walked as well.
    """
    inside("[1, inf]", "traverse", steps=steps)
    inside("(0, 1]", "traverse", step_size=step_size)
    noise = dice.uniform(source.shape[1:], device=source.device, dtype=source.dtype) - 0.5
    point = (source + jitter * noise).clamp(low, high).detach()
    with quiet(model):
        with torch.no_grad():
            start = confidence(model, source, label)
        chance, slope, factor = _looked(model, point, label)
        drift = torch.zeros_like(point)
        trace = [(target - point).flatten(1).norm(dim=1)]
        for _ in range(steps):
            way = target - point
            along = (slope * way).flatten(1).sum(1) / slope.flatten(1).square().sum(1).clamp(
                min=_TINY
            )
            across = way - fit(along, way) * slope
            descent = correction / 2 * fit(factor, slope) * slope
            drift = (drift + descent).clamp(-correction, correction)
            there = (point + step_size * across - drift).clamp(low, high).detach()
            seen, new_slope, new_factor = _looked(model, there, label)
            taken = (start - seen < drop) & seen.isfinite()
            point, slope = pick(taken, there, point), pick(taken, new_slope, slope)
            factor, chance = (
                torch.where(taken, new_factor, factor), torch.where(taken, seen, chance)
            )  # fmt: skip
            trace.append((target - point).flatten(1).norm(dim=1))
    return Walk(point, start, chance, torch.stack(trace))
