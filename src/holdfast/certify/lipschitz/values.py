"""Values of a network at some inputs, how far they can move, and what their rounding may lose."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from holdfast.certify.linear.region import Region
from holdfast.certify.lipschitz.chain import Link, constants, pulled
from holdfast.certify.lipschitz.norms import crude_norm, norm_above
from holdfast.certify.network.graph import rounding_unit
from holdfast.certify.network.operators import Operator
from holdfast.certify.network.rearrange import Total
from holdfast.ops.interval import TINY, UNIT, gamma

SLACK = 1 + 1e-12  # covers the products of some hundreds of constants


def reach(space: Region) -> Tensor:
    """`(B,)`: how far from x, in Euclidean length, an admissible input may lie."""
    centre = space.centre.flatten(1)
    low, high = space.box.flat()
    most: Tensor = torch.linalg.vector_norm(torch.maximum(high - centre, centre - low), dim=1)
    most = most * (1 + 2 * gamma(centre.shape[1] + 8)) + TINY
    if space.radius is None or space.norm > 2:
        return most
    return torch.minimum(most, space.radius)  # norms of order up to 2 bound the Euclidean one


class Evaluated:
    """What is known of each value of a network at some inputs.

    Args:
        links: of the network, in float64.
        values: `(B, ...)` of each link at the inputs.
        like: an input in the type in which the model computes.

    Attributes:
        moves: Lipschitz constant of each value.
        parts: the same for each part of a split input.
        norms: of each link's own step.
        unit: relative error of one rounding of the model.
    """

    def __init__(self, links: list[Link], values: list[Tensor], like: Tensor) -> None:
        self.links, self.values = links, values
        self.norms = [_norm(links, link) for link in links]
        own = {id(link.step): norm for link, norm in zip(links, self.norms, strict=True)}

        def moves(block: int | None) -> list[Tensor]:
            return [m.double() * SLACK for m in constants(links, lambda op, _: own[id(op)], block)]

        self.moves = moves(None)
        blocks = sorted({link.block for link in links if link.block is not None})
        self.parts = [moves(b) for b in blocks] or [self.moves]
        info = torch.finfo(like.dtype)
        self.top, self.tiny = float(info.max), float(info.tiny)
        steps = [link for link in links if isinstance(link.step, Operator)]
        units = [max(link.unit, rounding_unit(link.step, like)) for link in steps]  # type: ignore[arg-type]
        self.unit = max([float(info.eps) / 2, *units])

    @classmethod
    def of(cls, links: list[Link], x: Tensor, like: Tensor | None = None) -> Evaluated:
        """The values at some inputs; `like` is one of the model's own, if `x` is not."""
        values = [x.detach().double()]
        for link in links[1:]:
            before = [values[p] for p in link.parents]
            if isinstance(link.step, Operator):
                value = link.step.linear(before)
                values.append(value if link.step.bias is None else value + link.step.bias)
            elif link.step is not None:
                values.append(link.step(before[0]))
        return cls(links, values, x if like is None else like)

    def error(self, reach: Tensor) -> Tensor:
        """`(B,)`: how far, in length, computed outputs may lie from exact ones, theirs and ours.

        Each operation errs by at most gamma times the sum of its absolute terms, which the
        reach can enlarge by no more than it moves the values; the error then grows with the
        norms of the operators behind it. Infinite where a value may leave the range of its type.
        """
        found = [torch.zeros_like(reach)]
        for i, link in enumerate(self.links[1:], 1):
            if not isinstance(link.step, Operator):
                found.append(found[link.parents[0]])
                continue
            wide = [
                self.values[p].abs() + _rows(self.moves[p] * reach + found[p], self.values[p])
                for p in link.parents
            ]
            mass = link.step.spread(wide)
            mass = mass if link.step.bias is None else mass + link.step.bias.abs()
            terms = link.step.terms + link.extra
            own = (gamma(terms, self.unit) + gamma(terms)) * mass + 2 * terms * self.tiny
            size = torch.linalg.vector_norm(own.flatten(1), dim=1) * (1 + 1e-9)
            before = sum((found[p] for p in link.parents), torch.zeros_like(reach))
            size = size + self.norms[i] * before * (1 + 1e-9)
            fits = mass.flatten(1).amax(1) < self.top / 4
            found.append(torch.where(fits, size, torch.inf))
        return found[-1]

    def slope(self, c: Tensor) -> Tensor:
        """`(B, W)`: Lipschitz constants of the ways `c z`.

        Where the input is split, each part has its own: what they add up to is, by Cauchy and
        Schwarz, at most the root of the sum of their squares times the length of the change.
        """
        flat = c.flatten(0, 1)
        found = pulled(self.links, flat)
        squares = torch.zeros(len(flat), dtype=c.dtype, device=c.device)
        for moves in self.parts:
            total = torch.zeros_like(squares)
            for i, a in found.items():
                length = torch.linalg.vector_norm(a.flatten(1), dim=1)
                total = total + length * (1 + 4 * gamma(prod(a.shape[1:]) + 8)) * moves[i]
            squares = squares + total.square()
        total = squares.sqrt() * SLACK
        # Pulling back rounds too: by at most gamma of the absolute products along the way.
        size = torch.linalg.vector_norm(flat, dim=1) * self._tail()
        slopes: Tensor = (total * SLACK + size).reshape(c.shape[:2])
        return slopes

    def _tail(self) -> Tensor:
        """How much coefficients that `pulled` gives, times moves, may err per unit of the last."""
        sizes = sum(prod(link.shape) for link in self.links) + 8 * len(self.links)
        worst: list[Tensor] = []
        for i, link in enumerate(self.links):
            if isinstance(link.step, Operator):
                worst.append(_crude(self.links, link) * sum(worst[p] for p in link.parents))
            else:
                worst.append(self.moves[i])
        return 4 * gamma(sizes) * worst[-1]

    def margin(self, c: Tensor, constant: Tensor, slope: Tensor, reach: Tensor) -> Tensor:
        """`(B,)`: above the margin of every input within the reach."""
        centre, error = self._ways(c, constant, reach)
        # At a reach of zero a slope that is not known must not become NaN.
        ways = centre + torch.where(reach[:, None] > 0, slope * reach[:, None], 0.0)
        ways = ways + error + 8 * UNIT * ways.abs() + TINY
        unknown = ~ways.isfinite() & (constant != -torch.inf)
        return ways.masked_fill(unknown, torch.inf).amax(1)

    def radius(self, c: Tensor, constant: Tensor, slope: Tensor, reach: Tensor) -> Tensor:
        """`(B,)`: a radius, at most the reach counted for rounding, within which all is proved."""
        centre, error = self._ways(c, constant, reach)
        room = -(centre + error + 8 * UNIT * centre.abs()) * (1 - 8 * UNIT)
        open_way = constant != -torch.inf
        # Rounding was counted up to the larger of the two numbers, which only shrinks.
        found = torch.where(room > 0, room / slope, 0.0) * (1 - 8 * UNIT)
        found = torch.where(open_way, found.nan_to_num(0.0, posinf=torch.inf), torch.inf)
        return found.amin(1)

    def _ways(self, c: Tensor, constant: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
        z = self.values[-1]
        centre = (c * z[:, None]).sum(2) + constant
        mass = (c.abs() * z.abs()[:, None]).sum(2) + constant.abs().nan_to_num(posinf=0.0)
        length = torch.linalg.vector_norm(c, dim=2) * (1 + 1e-9)
        error = length * self.error(reach)[:, None] + 2 * gamma(c.shape[2] + 4) * mass
        return centre, error


def _rows(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))


def _norm(links: list[Link], link: Link) -> Tensor:
    """The norm of a link's step, of a sum the largest factor."""
    if isinstance(link.step, Operator) and not isinstance(link.step, Total):
        return norm_above(link.step, links[link.parents[0]].shape).double()
    factors = link.step.factors if isinstance(link.step, Total) else (1.0,)
    return torch.tensor(max(abs(f) for f in factors), dtype=torch.float64)


def _crude(links: list[Link], link: Link) -> Tensor:
    """The same of absolute weights, from row and column sums."""
    if isinstance(link.step, Operator) and not isinstance(link.step, Total):
        return crude_norm(link.step, links[link.parents[0]].shape)
    return _norm(links, link)
