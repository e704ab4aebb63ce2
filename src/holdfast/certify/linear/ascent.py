"""Gradient ascent on what linear bounds leave free: slopes, and multipliers of constraints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward, evaluated
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.slopes import proposed

DECAY = 0.95  # what each step is of the one before
MEAN, SQUARE, SMALL = 0.9, 0.99, 1e-12


@dataclass
class Ascent:
    """Adam on tensors that are clamped to an interval after each step.

    Each entry moves on its own, so that rows do not disturb each other. The best values seen per
    row are what counts.

    Args:
        free: the tensors.
        ends: the interval of each.
        rates: first step of each.
    """

    free: list[Tensor]
    ends: list[tuple[float, float]]
    rates: list[float]
    decay: float = DECAY

    @torch.no_grad()
    def run(
        self,
        value: Callable[[], Tensor],
        slopes: Callable[[], Sequence[Tensor]],
        steps: int,
        done: Callable[[Tensor], bool],
    ) -> None:
        """Climb; the tensors then hold what gave the best value `(B, m)` of each row.

        Args:
            value: evaluates the tensors as they are; their shapes start with `(B, m)`.
            slopes: those of the last value in each tensor.
            steps: evaluations, one more than moves.
            done: of the best values, whether to stop early.
        """
        first = [torch.zeros_like(v) for v in self.free]
        second = [torch.zeros_like(v) for v in self.free]
        best: Tensor | None = None
        kept = [v.clone() for v in self.free]
        for step in range(steps):
            seen = value().nan_to_num(-torch.inf, torch.inf, -torch.inf)
            better = seen > best if best is not None else torch.ones_like(seen, dtype=torch.bool)
            best = seen if best is None else torch.maximum(best, seen)
            for k, v in zip(kept, self.free, strict=True):
                mask = better.reshape(*better.shape, *[1] * (v.dim() - better.dim()))
                k.copy_(torch.where(mask, v, k))
            if step == steps - 1 or done(best):
                break
            self._move(slopes(), first, second, step + 1)
        for k, v in zip(kept, self.free, strict=True):
            v.copy_(k)

    def _move(
        self, slopes: Sequence[Tensor], first: list[Tensor], second: list[Tensor], step: int
    ) -> None:
        pace = self.decay ** (step - 1) / (1 - MEAN**step)
        for v, g, m, s, rate, (low, high) in zip(
            self.free, slopes, first, second, self.rates, self.ends, strict=True
        ):
            m.lerp_(g, 1 - MEAN)
            s.lerp_(g * g, 1 - SQUARE)
            size = (s / (1 - SQUARE**step)).sqrt_().add_(SMALL)
            v.addcdiv_(m, size, value=rate * pace).clamp_(low, high)


def ascend(
    bounds: Bounds,
    start: int,
    a: Tensor,
    steps: int,
    *,
    first: Tensor | None = None,
    chosen: dict[int, Tensor] | None = None,
    least: float = 0.0,
) -> Tensor:
    """`(B, m)`: numbers below `a . value`, the planes of all bends chosen anew for each question.

    Every choice gives a bound that holds: float32 proposes one, and it is evaluated once like
    any other bound, rounded outward.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the value asked about.
        a: `(B, m, *shape)`.
        steps: moves of the planes.
        first: the coefficients on the only parent of `start`, if already known.
        chosen: receives the slopes `(B, m, *shape)` below each ReLU; they are no worse than those
            that are taken without an ascent.
        least: a question stops when two moves gain less than this share of its whole gain.
    """
    planes = proposed(bounds, start, a, steps, first=first, usual=chosen is not None, least=least)
    if chosen is not None:
        nodes = bounds.graph.nodes
        chosen |= {i: p.below[0] for i, p in planes.items() if nodes[i].is_relu}
    return evaluated(bounds, backward(bounds, start, a, first=first, planes=planes))
