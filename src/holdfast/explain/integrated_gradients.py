"""Gradients collected along the straight way from a baseline to the input."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, settings
from holdfast.core.kinds import Explainer, Model, Readout
from holdfast.explain.inputs import slope, start_of

Rule = Literal["gauss", "midpoint", "trapezoid"]


def nodes(rule: Rule, steps: int) -> tuple[list[float], list[float]]:
    """Places in [0, 1] and weights of a quadrature rule; the weights add up to one."""
    if rule == "gauss":
        import numpy as np

        place, weight = np.polynomial.legendre.leggauss(steps)
        return ((place + 1) / 2).tolist(), (weight / 2).tolist()
    if rule == "trapezoid" and steps > 1:
        inner = 1 / (steps - 1)
        ends = [inner / 2, *[inner] * (steps - 2), inner / 2]
        return [i * inner for i in range(steps)], ends
    return [(i + 0.5) / steps for i in range(steps)], [1 / steps] * steps


@register("explainer", cites="integrated-gradients")
@settings
class IntegratedGradients(Explainer):
    """Mean gradient between a baseline and the input, times the way between them.

    The attributions add up to the difference of the readout between input and baseline, up to
    the error of the quadrature: nothing is lost where the gradient at the input is zero.
    They depend on the function only, not on how it is built.

    Cost: `steps` forward and `steps` backward passes per row.

    Args:
        steps: places at which the gradient is taken.
        rule: Gauss-Legendre (exact for polynomials up to degree 2 steps - 1), midpoint or
            trapezoid rule.
    """

    complete: ClassVar[bool] = True

    steps: Count = 32
    rule: Rule = "gauss"

    def __call__(
        self,
        model: Model,
        x: Tensor,
        readout: Readout,
        *,
        baseline: Tensor | None = None,
        dice: Dice | None = None,
    ) -> Tensor:
        start = start_of(x, baseline, "IntegratedGradients")
        way = x.detach() - start
        mean = torch.zeros_like(way)
        for place, weight in zip(*nodes(self.rule, self.steps), strict=True):
            mean += weight * slope(model, start + place * way, readout, "IntegratedGradients")
        return mean * way
