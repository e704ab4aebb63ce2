"""Planes worth taking, found in float32: they propose, and no bound rests on their numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.draft import Draft
from holdfast.certify.network.bends import Planes

RATE, SLOWER = 0.7, 3  # first step of a choice, and the number of moves after which it halves
MEAN, SQUARE, SMALL = 0.3, 0.99, 1e-12


def proposed(
    bounds: Bounds, start: int, a: Tensor, steps: int, *, first: Tensor | None = None
) -> dict[int, Planes]:
    """Planes around each bend, one per question, that bound `a . value` well from below.

    A bound is a concave function of the slopes below the ReLUs. Its gradient needs no tape: a
    coefficient that reaches a bend times the value there, when the linear function that
    remained is followed from its minimum back up through the planes, is the slope of the bound
    in the slope of the plane. So an evaluation is one pass down and one up, in float32.

    The ascent starts at the slope of the chord: there every slope can move to either side, and
    the first step is that of an average over signs, which is most of the way.

    Args:
        bounds: what is known of the nodes up to `start`.
        start: position of the value asked about.
        a: `(B, m, *shape)`.
        steps: moves; the best of `steps + 1` evaluations is taken.
        first: the coefficients on the only parent of `start`, if already known.

    Returns:
        Planes that hold whatever was found, since every choice does.
    """
    draft = Draft(bounds, start, a.shape[1])
    single = a.float(), None if first is None else first.float()
    moments = [(torch.zeros_like(v), torch.zeros_like(v)) for v in draft.free]
    best = torch.full(a.shape[:2], -torch.inf, device=a.device)
    kept = [v.clone() for v in draft.free]
    for step in range(steps + 1):
        now = draft.down(*single)
        better = now > best
        best = torch.maximum(best, now.nan_to_num(-torch.inf))
        whole = bool(better.all())
        for k, v in zip(kept, draft.free, strict=True):
            mask = better.reshape(*better.shape, *[1] * (v.dim() - 2))
            k.copy_(v if whole else torch.where(mask, v, k))
        if step == steps:
            break
        pace = RATE / (1 + step / SLOWER) / (1 - MEAN ** (step + 1))
        for v, g, (m, s) in zip(draft.free, draft.up(), moments, strict=True):
            m.lerp_(g, 1 - MEAN)
            s.mul_(SQUARE).addcmul_(g, g, value=1 - SQUARE)
            size = (s / (1 - SQUARE ** (step + 1))).sqrt_().add_(SMALL)
            v.addcdiv_(m, size, value=pace).nan_to_num_(0.5).clamp_(0, 1)
    draft.free = kept
    return draft.planes()
