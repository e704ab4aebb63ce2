"""alpha-CROWN: linear bounds whose planes are chosen by gradient ascent."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.prepare import prepare
from holdfast.certify.linear.tighten import tightened
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.fields import Natural, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat


@register(
    "certifier",
    name="alpha-crown",
    cites=("alpha-crown", "float-soundness"),
    says="Bounds the margin as CROWN does, with the slope below each ReLU chosen by ascent.",
)
@settings
class AlphaCROWN(Certifier):
    """Takes the best of many planes around each bend, for each question its own.

    Sound because any slope in [0, 1] gives a line below a ReLU (and any choice in [0, 1] planes
    around another bend): the ascent runs in float32 and only proposes planes, and one bound with
    these planes is computed like every other, in float64 and rounded outward. Never looser than
    CROWN. With `steps=0` and enough of `last`, the bound is that of the linear program over the
    triangles around each ReLU; with more `steps` these triangles shrink, and it is tighter.

    Unlike the paper, neurons before the last layer climb their own bounds, layer after layer,
    instead of all climbing the last one together. Nothing is lost by it: tighter boxes give
    triangles inside the wider ones, so the best box of each neuron is best for all behind it.
    The ascent starts from the slopes of the chords, not from CROWN's, and then needs few moves.
    Only rows that CROWN leaves undecided go on, and of their neurons those whose sign is open.

    Args:
        steps: moves of the planes for each neuron before a bend, at most: a neuron stops when it
            gains little. 0 leaves the boxes of CROWN.
        last: moves of the planes for the margin.
        every: whether rows go on that are already decided, to have their margins tight as well.

    Cost: CROWN twice, and for undecided rows `steps` times a pass of CROWN and one back in
    float32, nothing rounded outward.
    """

    steps: Natural = 8
    last: Natural = 5
    every: bool = False

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over the whole threat, of the model as it is computed.

        Args:
            model: in eval mode, made of the operators that can be read.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a norm ball.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded.
        """
        question = prepare(model, x, goal, threat)
        if question is None:
            return Certificate(model, threat, x.new_zeros(0).double())
        graph, region, c, constant = question
        bounds = propagate(graph, region, "crown")
        ways = torch.minimum(*(margins(bounds, c, constant, relax=r) for r in (True, False)))
        for steps in sorted({self.steps} if self.every else {0, self.steps}):
            left = (~(ways.amax(1) < 0) | self.every).nonzero().flatten()
            if len(left):
                tight = tightened(bounds.take(left), steps) if steps else bounds.take(left)
                found = self.optimised(tight, c[left], constant[left])
                ways[left] = torch.minimum(ways[left], found)
        return Certificate(model, threat, ways.amax(1))

    def optimised(self, bounds: Bounds, c: Tensor, constant: Tensor) -> Tensor:
        """`(B, W)`: upper bounds of `c z + constant`; infinite where unknown."""
        plain = margins(bounds, c, constant, relax=True)
        if not self.last:
            return plain
        below = ascend(bounds, bounds.graph.output, -c, self.last)
        upper = torch.nextafter(constant - below, torch.full_like(below, torch.inf))
        unknown = (~below.isfinite() | bounds.overflow[:, None]) & (constant != -torch.inf)
        return torch.minimum(plain, upper.masked_fill(unknown, torch.inf))
