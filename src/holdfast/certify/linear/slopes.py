"""Planes worth taking, found in float32: they propose, and no bound rests on their numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.draft import Draft
from holdfast.certify.network.bends import Planes

RATE, SLOWER = 0.7, 3  # first step of a choice, and the number of moves after which it halves
MEAN, SQUARE, SMALL = 0.3, 0.99, 1e-12
WORTH = 0.75  # share of questions still climbing from which it does not pay to sort them out


def proposed(
    bounds: Bounds,
    start: int,
    a: Tensor,
    steps: int,
    *,
    first: Tensor | None = None,
    usual: bool = False,
    least: float = 0.0,
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
        usual: whether the planes that are taken without an ascent are candidates as well.
        least: a question stops when two moves gain less than this share of its whole gain.

    Returns:
        Planes that hold whatever was found, since every choice does.
    """
    draft = Draft(bounds, start, a.shape[1])
    best, kept = torch.full(a.shape[:2], -torch.inf, device=a.device), draft.free
    now = Climb(
        draft, a.float(), None if first is None else first.float(), draft.moments(), best, best
    )
    if usual:
        draft.free = [u.expand_as(v) for u, v in zip(draft.usual, kept, strict=True)]
        best, (draft.free, kept) = draft.down(now.a, now.first), (kept, draft.free)
    best, kept = best.nan_to_num(-torch.inf), [v.clone() for v in kept]
    for step in range(steps + 1):
        found, before = now.draft.down(now.a, now.first), now.read(best)
        better = found > before
        top = torch.where(better, found, before)
        gain = top - before
        now.write(best, top)
        for k, v in zip(kept, now.draft.free, strict=True):
            mask = better.to(k.dtype).reshape(*better.shape, *[1] * (v.dim() - 2))
            now.write(k, torch.lerp(now.read(k), v, mask))
        if not step:
            now.begin, now.gain = top, torch.zeros_like(top)
        elif least:
            on = gain + now.gain > least * (top - now.begin)
            if not bool(on.any()):
                break
            now.gain = gain
            now = now.narrowed(on)
        if step < steps:
            now.move(step)
    draft.free = kept
    return draft.planes()


@dataclass
class Climb:
    """An ascent under way.

    Args:
        draft: the bounds of the questions that still climb, and their choices.
        a: `(B, m, *shape)` the questions.
        first: the coefficients on the only parent, if known.
        moments: of each choice, mean and mean square of its slopes.
        begin: `(B, m)` where the questions began.
        gain: `(B, m)` of the move before.
        place: rows and columns of the questions among all; None if they are all.
    """

    draft: Draft
    a: Tensor
    first: Tensor | None
    moments: list[tuple[Tensor, Tensor]]
    begin: Tensor
    gain: Tensor
    place: tuple[Tensor, Tensor] | None = None

    def read(self, values: Tensor) -> Tensor:
        """Values of all questions, for those that still climb."""
        return values if self.place is None else values[self.place]

    def write(self, values: Tensor, new: Tensor) -> None:
        """Replace the values of the questions that still climb."""
        if self.place is None:
            values.copy_(new)
        else:
            values[self.place] = new

    def narrowed(self, on: Tensor) -> Climb:
        """The same without the questions that are done, if these are many."""
        if int(on.sum()) > WORTH * on.numel():
            return self
        row, column = on.nonzero(as_tuple=True)
        alone = len(on) == 1  # then all questions share the boxes of one row

        def few(values: Tensor) -> Tensor:
            return values[:, column] if alone else values[row, column][:, None]

        size, device = on.shape, on.device
        every = torch.arange(on.numel(), device=device).reshape(size)
        place = self.place or (every // size[1], every % size[1])
        draft = self.draft.taken(None if alone else row, few)
        first = None if self.first is None else few(self.first)
        moments = [(few(m), few(s)) for m, s in self.moments]
        place = few(place[0]), few(place[1])
        return Climb(draft, few(self.a), first, moments, few(self.begin), few(self.gain), place)

    def move(self, step: int) -> None:
        """One step of Adam, cut to [0, 1]; each entry moves on its own."""
        pace = RATE / (1 + step / SLOWER) / (1 - MEAN ** (step + 1))
        for v, g, (m, s) in zip(self.draft.free, self.draft.up(), self.moments, strict=True):
            m.lerp_(g, 1 - MEAN)
            s.mul_(SQUARE).addcmul_(g, g, value=1 - SQUARE)
            size = (s / (1 - SQUARE ** (step + 1))).sqrt_().add_(SMALL)
            v.addcdiv_(m, size, value=pace).nan_to_num_(0.5).clamp_(0, 1)
