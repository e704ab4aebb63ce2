"""Networks as links whose Lipschitz constants multiply and add: affine maps and 1-Lipschitz bends.

Built from modules of known meaning (see `lipschitz_modules`), or from the record of a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.certify.network.operators import Convolution, Dense, Operator, Scale, Shape
from holdfast.certify.network.picks import Pick
from holdfast.certify.network.rearrange import Mean, Permute, Reshape, Total
from holdfast.core.errors import Unsupported

Bent = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Link:
    """One value of a network.

    Args:
        step: how it comes from its parents: an affine operator, or a function that moves no two
            inputs further apart (in Euclidean length) and computes without rounding.
        parents: positions of the values it is made of; none for the input.
        shape: of one row.
        extra: roundings of the model besides those of the operator.
        unit: relative error of one rounding of the model, if it is larger than its type says.
        block: number of the part of the input that this value is, if the input is split.
    """

    step: Operator | Bent | None
    parents: tuple[int, ...]
    shape: Shape
    extra: int = 4
    unit: float = 0.0
    block: int | None = None


def refused(what: str) -> Unsupported:
    """The error that names what cannot be bounded."""
    return Unsupported(
        f"Lipschitz bounds do not cover {what}",
        fix="Build the model of Linear, Conv2d, ReLU, MinMax, Residual, or certify by crown.",
    )


READ = (Dense, Convolution, Scale, Total, Reshape, Permute, Mean, Pick)


def linked(graph: Graph) -> list[Link]:
    """The links of a network that was read, if it is made of affine operators and ReLUs.

    Raises:
        Unsupported: naming what else it is made of.
    """
    found = [Link(None, (), graph.nodes[0].shape)]
    for node in graph.nodes[1:]:
        if node.is_relu:
            found.append(Link(torch.relu, node.parents, node.shape))
            continue
        step = node.operator
        several = len(node.parents) > 1 and not isinstance(step, Total)
        if not isinstance(step, READ) or several:
            raise refused(f"the function {type(step).__name__}")
        if node.dtype != graph.nodes[graph.output].dtype:
            raise refused("a model that computes in several types")
        found.append(Link(step, node.parents, node.shape, 4 + node.extra, node.unit))
    if graph.output != len(found) - 1:
        found = found[: graph.output + 1]
    return found


def constants(
    links: list[Link], norm: Callable[[Operator, Shape], Tensor], block: int | None = None
) -> list[Tensor]:
    """How far each value can move when the input moves by one: norms multiplied along the links.

    Args:
        links: of a network.
        norm: of an operator of one input of some shape.
        block: the part of the input that moves while the others stay; all unless given.
    """
    found: list[Tensor] = []
    for link in links:
        before = [found[p] for p in link.parents]
        if link.step is None:
            found.append(torch.ones(()))
        elif block is not None and link.block not in (None, block):
            found.append(torch.zeros(()))
        elif isinstance(link.step, Total):
            parts = [abs(f) * b for f, b in zip(link.step.factors, before, strict=True)]
            found.append(torch.stack(parts).sum(0))
        elif isinstance(link.step, Operator):
            found.append(norm(link.step, links[link.parents[0]].shape) * before[0])
        else:
            found.append(before[0])
    return found


def pulled(
    links: list[Link],
    a: Tensor,
    end: int = -1,
    change: Callable[[Operator], Operator] | None = None,
) -> dict[int, Tensor]:
    """Coefficients on a value as coefficients on those before the affine part that made it.

    Args:
        links: of a network.
        a: `(P, ...)` on the value.
        end: its position; the outputs unless given.
        change: put in place of each operator, for example its absolute.

    Returns:
        Coefficients `(P, ...)` by position: the input, or values that a bend has made.
    """
    last = end % len(links)
    waiting, found = {last: a}, {}
    for i in range(last, -1, -1):
        if i not in waiting:
            continue
        link, a = links[i], waiting.pop(i)
        if not isinstance(link.step, Operator):
            found[i] = a
            continue
        step = link.step if change is None else change(link.step)
        for parent, part in zip(link.parents, step.back(a), strict=True):
            waiting[parent] = waiting[parent] + part if parent in waiting else part
    return found
