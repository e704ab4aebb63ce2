"""Semidefinite relaxation: quadratic constraints between the values of a network."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, isfinite, prod
from typing import Any

import torch
from torch import Tensor

from holdfast.certify.linear.bounds import margins, propagate
from holdfast.certify.linear.prepare import Question, prepare
from holdfast.certify.lipschitz.chain import Link, linked, pulled
from holdfast.certify.lipschitz.norms import absolute
from holdfast.certify.lipschitz.values import Evaluated, reach
from holdfast.certify.network.operators import Operator
from holdfast.certify.semidefinite.low_rank import low_rank
from holdfast.certify.semidefinite.problem import Problem
from holdfast.certify.semidefinite.solve import ascend, linear_start
from holdfast.core.catalog import register
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Natural, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.ops.interval import Box

STEPS_PER_UNIT = 2.0**40  # of the bounds that are handed out


@register("certifier", name="sdp", cites=("sdp", "lowrank-sdp"))
@settings
class SDP(Certifier):
    """Bounds the margin by a semidefinite relaxation of the network, through its dual.

    The products of all values are bounded together, as a matrix that must be positive
    semidefinite, with the quadratic equations of each ReLU: what one neuron does limits the
    others, which relaxations neuron by neuron cannot express. Any multipliers of the
    constraints prove a bound: the Lagrangian is a quadratic form, and its least eigenvalue is
    bounded from below by a factorisation. So the solver is not trusted, only used; it starts
    from the multipliers of linear bounds. With a rank, multipliers are also sought by
    Burer and Monteiro's form, where each value is a short vector.

    Unlike the paper: the triangle above each unit is a constraint too, so that bounds are never
    looser than CROWN's; and multipliers are found by first-order ascent, not by interior points,
    so that they fall short of the best by an amount that shrinks with `steps`.

    Cost: per row and way about three times `steps` eigendecompositions of all values at once:
    for networks of some hundred units.

    Args:
        steps: of the ascent in each of three stages.
        rank: of Burer and Monteiro's form; 0 leaves it out.
        limit: largest number of values (inputs and units).
    """

    steps: Count = 20
    rank: Natural = 0
    limit: Count = 128

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """Upper bounds of the margin over the whole threat, of the model as it is computed.

        Args:
            model: in eval mode, of affine operators and ReLUs.
            x: `(B, ...)` inputs.
            goal: linear in the logits.
            threat: a norm ball.
            dice: not used.

        Raises:
            Unsupported: for an operator, goal or threat that cannot be bounded, or a network
                with more values than the limit.
        """
        found = [x.new_zeros(0).double()]
        for row in range(len(x)):  # alone, so that no row depends on another, even by rounding
            one = slice(row, row + 1)
            question = prepare(model, x[one].detach().cpu(), goal.take(one), threat)
            if question is not None:
                with torch.no_grad():
                    found.append(self._row(question))
        return Certificate(model, threat, torch.cat(found).to(x.device))

    def _row(self, question: Question) -> Tensor:
        """`(1,)`: the bound of a single row."""
        graph, region, c, constant = question
        links = linked(graph)
        size = sum(prod(link.shape) for link in links if not isinstance(link.step, Operator))
        if size > self.limit:
            raise Unsupported(
                f"the semidefinite relaxation of {size} values is beyond its limit {self.limit}",
                fix="Raise limit=..., or certify by crown.",
            )
        bounds = propagate(graph, region, "crown")
        best = torch.minimum(*(margins(bounds, c, constant, relax=r) for r in (True, False)))[0]
        like = torch.zeros(1, dtype=graph.nodes[graph.output].dtype)
        error = float(Evaluated.of(links, region.centre, like).error(reach(region))[0])
        if bool(best.isnan().any()) or not graph.bent:
            return best.amax(0, keepdim=True)  # without a bend the linear bound is attained
        common = _network(links, bounds.boxes)
        if region.radius is not None and region.norm == 2:
            common |= {"centre": region.centre[0].flatten(), "radius": float(region.radius[0])}
        for way in range(len(best)):
            if constant[0, way] == -torch.inf or not bool(best[way].isfinite()):
                continue
            problem = _asked(links, common, -c[0, way], -float(constant[0, way]))
            lost = error * float(c[0, way].norm()) * (1 + 1e-9)
            upper = -self._solved(problem) + lost
            upper += 8 * torch.finfo(torch.float64).eps * abs(upper)
            # Eigenvalues wobble in their last digit from call to call; rounded up they do not.
            if isfinite(upper):
                upper = ceil(upper * STEPS_PER_UNIT) / STEPS_PER_UNIT
            if upper < float(best[way]):  # false for NaN
                best[way] = upper
        return best.amax(0, keepdim=True)

    def _solved(self, problem: Problem) -> float:
        """The best bound from all multipliers that were found."""
        start = linear_start(problem)
        if not bool(problem.crossing.any()):
            return problem.bound(start)
        found = [start, *ascend(problem, start, self.steps)]
        if self.rank:
            short = low_rank(problem, self.rank, self.steps)
            found += [*short, *ascend(problem, max(short, key=problem.bound), self.steps)]
        return max(problem.bound(multipliers) for multipliers in found)


def _network(links: list[Link], boxes: list[Box]) -> dict[str, Any]:
    """Weights, constants and boxes of all values, in the order of the links."""
    values = [i for i, link in enumerate(links) if not isinstance(link.step, Operator)]
    ends = [links[i].parents[0] for i in values[1:]]
    found: list[list[Tensor]] = [[], []]
    for end in ends:
        size = prod(links[end].shape)
        eye = torch.eye(size, dtype=torch.float64).reshape(size, *links[end].shape)
        for kept, change in zip(found, (None, absolute), strict=True):
            kept.append(_rows(links, values, pulled(links, eye, end, change)))
    weight, mass = (torch.cat(kept) for kept in found)
    return {
        "values": values, "inputs": prod(links[0].shape), "weight": weight, "mass": mass,
        "bias": _joined([_constant(links, end) for end in ends]),
        "bias_mass": _joined([_constant(links, end, absolute) for end in ends]),
        "low": _joined([boxes[i].low for i in values]),
        "high": _joined([boxes[i].high for i in values]),
        "below": _joined([boxes[end].low for end in ends]),
        "above": _joined([boxes[end].high for end in ends]),
        "sums": 2 * sum(prod(link.shape) for link in links) + 8 * len(links),
    }  # fmt: skip


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([p.flatten() for p in parts])


def _rows(links: list[Link], values: list[int], found: dict[int, Tensor]) -> Tensor:
    """Coefficients side by side, zeros for values that have none."""
    count = len(next(iter(found.values())))
    return torch.cat([
        found[i].flatten(1) if i in found else torch.zeros(
            count, prod(links[i].shape), dtype=torch.float64)
        for i in values
    ], 1)  # fmt: skip


def _constant(
    links: list[Link], end: int, change: Callable[[Operator], Operator] | None = None
) -> Tensor:
    """The value of an affine part where all that goes into it is zero."""
    values: list[Tensor] = []
    for link in links[: end + 1]:
        value = torch.zeros(1, *link.shape, dtype=torch.float64)
        if isinstance(link.step, Operator):
            step = link.step if change is None else change(link.step)
            value = step.linear([values[p] for p in link.parents])
            bias = link.step.bias
            bias = bias if bias is None or change is None else bias.abs()
            value = value if bias is None else value + bias
        values.append(value)
    return values[-1].flatten()


def _asked(links: list[Link], common: dict[str, Any], q: Tensor, constant: float) -> Problem:
    """The problem of minimising `q . logits + constant`."""
    end, rest = len(links) - 1, dict(common)
    values, mass, bias_mass = (rest.pop(name) for name in ("values", "mass", "bias_mass"))
    row, wide = (
        _rows(links, values, pulled(links, a[None], end, change))[0]
        for a, change in ((q, None), (q.abs(), absolute))
    )
    size = abs(constant) + float(q.abs() @ _constant(links, end, absolute))
    return Problem(
        q=row, constant=constant + float(q @ _constant(links, end)),
        masses=(wide, size, mass, bias_mass), **rest,
    )  # fmt: skip
