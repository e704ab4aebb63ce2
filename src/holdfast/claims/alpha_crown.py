"""alpha-CROWN: the linear program over triangles is reached, and passed with smaller ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.certify.linear.ascent import ascend
from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.region import region
from holdfast.certify.linear.slopes import proposed
from holdfast.certify.linear.tighten import tightened
from holdfast.certify.network.bends import Planes
from holdfast.certify.reading.reader import read
from holdfast.claims.harness import Claim, Trial
from holdfast.threats.norms import LInf

ROWS, RADIUS, MOVES = 4, 0.3, 500
NEAR, ABOVE = 1e-3, 1e-7  # how far below the linear program, and above it, a bound may lie


def net(seed: int, sizes: tuple[int, ...] = (2, 20, 20, 2)) -> nn.Sequential:
    """A random network of dense layers and ReLUs."""
    g = torch.Generator().manual_seed(seed)
    parts: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(m, n, generator=g, dtype=torch.float64) / n**0.5)
            layer.bias.copy_(0.3 * torch.randn(m, generator=g, dtype=torch.float64))
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def least(bounds: Bounds, row: int, c: Tensor, *, whole: bool) -> float:
    """The least `c z` of the logits over the region of a row, by scipy.

    A ReLU y of z in [l, u] is `y >= 0, y >= z, y <= u d, y <= z - l (1 - d)`. With whole d this
    is the network; with any d in [0, 1] it is the triangle around the ReLU.

    Args:
        bounds: of a plain stack of dense layers and ReLUs.
        row: which row.
        c: `(K,)`.
        whole: whether d must be whole.
    """
    from scipy.optimize import Bounds as Ends
    from scipy.optimize import LinearConstraint, milp

    low, high = (end[row].flatten().tolist() for end in bounds.region.box)
    whole_at, lines, begin, end = [0] * len(low), [], [], []
    last = list(range(len(low)))

    def new(n: int, ends: tuple[float, float], kind: int = 0) -> list[int]:
        low.extend([ends[0]] * n)
        high.extend([ends[1]] * n)
        whole_at.extend([kind] * n)
        return list(range(len(low) - n, len(low)))

    def line(terms: dict[int, float], bottom: float, top: float) -> None:
        lines.append(terms)
        begin.append(bottom)
        end.append(top)

    for node in bounds.graph.nodes[1:]:
        op: Any = node.operator
        own = new(node.shape[0], (0.0 if node.is_relu else -np.inf, np.inf))
        if node.is_relu:
            ends = (e[row].tolist() for e in bounds.boxes[node.parents[0]])
            sides = new(len(own), (0.0, 1.0), int(whole))
            for y, z, d, lo, up in zip(own, last, sides, *ends, strict=True):
                line({y: 1.0, z: -1.0}, 0.0, np.inf)
                line({y: 1.0, d: -max(up, 0.0)}, -np.inf, 0.0)
                line({y: 1.0, z: -1.0, d: -min(lo, 0.0)}, -np.inf, -min(lo, 0.0))
        else:
            for y, w, b in zip(own, op.weight.tolist(), op.bias.tolist(), strict=True):
                line({y: 1.0} | dict(zip(last, [-v for v in w], strict=True)), b, b)
        last = own
    matrix, objective = np.zeros((len(lines), len(low))), np.zeros(len(low))
    for r, terms in enumerate(lines):
        matrix[r, list(terms)] = list(terms.values())
    objective[last] = c.tolist()
    found = milp(
        objective, integrality=whole_at, bounds=Ends(low, high),
        constraints=LinearConstraint(matrix, begin, end), options={"mip_rel_gap": 0.0},
    )  # fmt: skip
    return float(found.fun)


def _swapped(*args: Any, **more: Any) -> dict[int, Planes]:
    """Bug: the chosen line is taken where the coefficient is negative."""
    return {i: Planes(p.above, p.above_offset, p.below, p.below_offset)
            for i, p in proposed(*args, **more).items()}  # fmt: skip


def _steeper(*args: Any, **more: Any) -> dict[int, Planes]:
    """Bug: slopes leave [0, 1], where the line below is no longer below."""
    return {i: p._replace(below=tuple(3 * s - 1 for s in p.below))
            for i, p in proposed(*args, **more).items()}  # fmt: skip


def _still(*args: Any, **more: Any) -> None:
    """Bug: the slopes never move."""


BUGS: dict[str, tuple[str, Callable[..., Any]]] = {
    "wrong-sign": ("holdfast.certify.linear.ascent.proposed", _swapped),
    "unclamped": ("holdfast.certify.linear.ascent.proposed", _steeper),
    "no-ascent": ("holdfast.certify.linear.slopes.Climb.move", _still),
}


@torch.no_grad()
def trial(seed: int, mutant: str = "") -> Trial:
    """Largest gap to the linear program on fixed boxes; nothing above it, nor above the truth."""
    model, c = net(seed), torch.tensor([1.0, -1.0], dtype=torch.float64)
    x = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(seed)).double()
    bounds = propagate(read(model, x), region(LInf(radius=RADIUS), x), "crown")
    asked, end = c.expand(ROWS, 1, 2), bounds.graph.output
    with ExitStack() as stack:
        if mutant:
            stack.enter_context(patch(*BUGS[mutant]))
        found = ascend(bounds, end, asked, MOVES)[:, 0]
        early = ascend(bounds, end, asked, MOVES // 10)[:, 0]
        joint = ascend(tightened(bounds, 10), end, asked, MOVES // 5)[:, 0]
    joint = torch.maximum(joint, found)
    programs, truths = (
        torch.tensor([least(bounds, r, c, whole=w) for r in range(ROWS)], dtype=torch.float64)
        for w in (False, True)
    )
    gap = float((programs - found).amax())
    sound = bool((found <= programs + ABOVE).all() and (joint <= truths + ABOVE).all())
    grows = bool((found >= early - 1e-6).all() and (joint >= found - 1e-6).all())
    return Trial(gap, NEAR, gap <= NEAR and sound and grows)


CLAIM = Claim(
    paper="alpha-crown",
    methods=("certifier:alpha-crown",),
    says="With fixed boxes, optimised slopes reach the linear program over the triangles to 1e-3 "
    "and never pass it; with boxes optimised too, the exact minimum is never passed.",
    left="largest distance below the optimum of the linear program",
    right="1e-3",
    trial=trial,
    mutants=("wrong-sign", "unclamped", "no-ascent"),
    seconds=20,
)
