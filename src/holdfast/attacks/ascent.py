"""Gradient ascent inside any threat: the one loop behind the gradient attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi

import torch
from torch import Tensor

from holdfast.attacks.active import Active, cut
from holdfast.attacks.climb import Height, slopes
from holdfast.ops.batch import fit, portion, select
from holdfast.threats.onward import onward

Heights = Callable[[int, Tensor], Height]  # (step, positions of the active rows) -> what is climbed


def cosine(steps: int, first: float) -> list[float]:
    """Lengths of steps that fall from `first` to zero along half a cosine wave."""
    return [first * (1 + cos(pi * step / steps)) / 2 for step in range(steps)]


def narrowing(steps: int, widest: float) -> list[float]:
    """Multiples of a threat that shrink evenly from the widest to one over two thirds of steps.

    Where the threat is pointed, as the ball of the sum norm is, an ascent within it ends on one of
    many tops; a larger threat has fewer, and what an exchange gives up as it shrinks is what is
    worth least.

    Args:
        steps: of the ascent.
        widest: the first multiple; 1: none.
    """
    wide = 2 * steps // 3 if widest > 1 else 0
    return [widest + (1 - widest) * step / wide for step in range(wide)]


def ascent(
    active: Active,
    change: Tensor,
    heights: Heights,
    lengths: Sequence[float],
    *,
    momentum: float = 0.0,
    peek: bool = False,
    samples: int = 1,
    wide: Sequence[float] = (),
) -> None:
    """Climb from one change per active row; what is found stays in `active`.

    Each step moves along the direction in which a linear function with the present gradient rises
    fastest under the threat's own geometry, and projects. Every point is admissible; a row whose
    family is broken leaves at once and costs no further pass.

    Args:
        active: the rows; those that break leave it.
        change: start of every active row.
        heights: what each step climbs.
        lengths: of the steps, in radii; as many as there are steps.
        momentum: share of the previous direction that is kept; gradients are scaled to a mean
            absolute value of 1 before they are added up.
        peek: look at the first point reached without a gradient: on a weak model nearly every
            row leaves there, and none of them needs the way back.
        samples: passes whose mean is a step's gradient and margin, for a model that draws.
        wide: multiples of the threat in which the first steps end; later ones end within it,
            and only points within it count.

    Cost: a forward and a backward per step, sample and row, a forward for the last point (and
    the peek).
    """
    memory: Tensor | None = None
    factor = 1.0  # multiple of the threat in which the present point lies
    for step, length in enumerate(lengths):
        margin, gradient = _slopes(active, change, heights, step, samples)
        stay = active.see(change, _counted(active, change, margin, factor))
        if stay is not None:
            if not len(active):
                return
            change, gradient = select(change, stay), select(gradient, stay)
            memory = memory if memory is None else select(memory, stay)
        if momentum:
            gradient = memory = _gathered(gradient, memory, momentum)
        factor = wide[step] if step < len(wide) else 1.0
        change = _moved(active, change, gradient, length, factor, once=len(lengths) == 1)
        if peek and step == 0 and len(lengths) > 1:
            stay = active.see(change, _counted(active, change, active.margins(change), factor))
            if stay is not None:
                if not len(active):
                    return
                change = change[stay]
                memory = memory if memory is None else memory[stay]
    active.see(change, _counted(active, change, active.margins(change), factor))


def _slopes(
    active: Active, change: Tensor, heights: Heights, step: int, samples: int
) -> tuple[Tensor, Tensor]:
    """Margins and gradients of all active rows, as many at once as the caches hold."""
    if active.coupled or len(active) <= portion(active.x):
        margin, gradient, _ = slopes(
            active.model, active.x, active.goal, active.threat, change,
            height=heights(step, active.index), samples=samples,
        )  # fmt: skip
        return margin, gradient
    seen = [
        slopes(
            active.model, x, goal, threat, change[p], height=heights(step, active.index[p]),
            samples=samples,
        )
        for p, x, goal, threat in active.parts()
    ]  # fmt: skip
    return torch.cat([s[0] for s in seen]), torch.cat([s[1] for s in seen])


def _counted(active: Active, change: Tensor, margin: Tensor, factor: float) -> Tensor:
    """Margins; minus infinity where a change of a larger threat lies outside of the threat."""
    if factor <= 1:
        return margin
    return torch.where(active.threat.size(active.x, change) <= 1, margin, -torch.inf)


def _moved(
    active: Active, change: Tensor, gradient: Tensor, length: float, factor: float, *, once: bool
) -> Tensor:
    """The next point: after a projected steepest step, where it is the only one."""
    x, threat = active.x, active.threat if factor == 1 else active.threat.scaled(factor)
    if not once:
        return cut(onward(threat, x, change, gradient, length))
    step = threat.steepest(x, change, gradient)
    return threat.project(x, change.add(step, alpha=length)).detach()


def _gathered(gradient: Tensor, memory: Tensor | None, momentum: float) -> Tensor:
    """The gradient, scaled, with what is kept of the earlier ones."""
    scale = gradient.flatten(1).abs().mean(1).clamp(min=1e-30)
    gradient = gradient / fit(scale, gradient)
    return gradient if memory is None else gradient + momentum * memory
