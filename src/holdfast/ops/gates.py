"""Which rows a ReLU unit lets through: patterns of half-spaces, and programs over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.ops.cones import Program

Curve = Literal["hinge", "squared", "logistic"]
INSIDE = 1e-7  # a pattern whose cone is narrower than this is no pattern of any unit


def interior(x: Tensor, gate: Tensor, radius: float, moved: int) -> Tensor | None:
    """A direction that opens exactly the rows of a gate, whatever the change; None if there is no.

    A linear program: the largest `m` with `(2 gate - 1) x u - radius |u|_1 >= m`, `|u| <= 1`.

    Args:
        x: rows `(n, p)`; only the first `moved` columns can change, each entry by the radius.
        gate: `(n,)` bool, which rows the unit lets through.
    """
    import numpy as np
    from scipy.optimize import linprog

    count, size = x.shape
    signed = ((2 * gate.to(x) - 1)[:, None] * x).numpy()
    # Variables: the positive and the negative part of u, then the margin.
    cost = radius * (np.arange(size) < moved)
    rows = np.hstack([cost - signed, cost + signed, np.ones((count, 1))])
    found = linprog(
        np.r_[np.zeros(2 * size), -1.0], A_ub=rows, b_ub=np.zeros(count),
        bounds=[(0, 1)] * (2 * size) + [(0, 1)], method="highs",
    )  # fmt: skip
    if found.status != 0 or found.x[-1] <= INSIDE:
        return None
    return torch.from_numpy(found.x[:size] - found.x[size : 2 * size])


def patterns(
    x: Tensor, draws: Tensor, noise: Tensor, radius: float, moved: int, most: int
) -> tuple[Tensor, Tensor]:
    """Distinct patterns of drawn half-spaces that hold for every change, with a unit each.

    Args:
        x: rows `(n, p)`.
        draws: `(k, p)` directions.
        noise: `(k, n, moved)` changes within the radius, for a further pattern each; or `(0,)`.
        radius, moved: largest change of an entry, and how many columns can change.
        most: how many to keep; the first ones.

    Returns:
        Gates `(g, n)` bool and units `(g, p)` strictly inside their patterns.
    """
    drawn = [x @ draws.T >= 0]
    if len(noise):
        tilt = torch.einsum("knp,kp->nk", noise, draws[:, :moved])
        drawn.append(x @ draws.T + tilt >= 0)
    gates: list[Tensor] = []
    units: list[Tensor] = []
    seen: set[bytes] = set()
    always = torch.ones(1, len(x), dtype=torch.bool)  # the affine unit, open for every row
    for gate in torch.cat([always, torch.cat(drawn, 1).T]):
        key = gate.numpy().tobytes()
        if len(gates) == most or key in seen or not gate.any():
            continue
        seen.add(key)
        unit = interior(x, gate, radius, moved)
        if unit is not None:
            gates.append(gate)
            units.append(unit)
    none = torch.zeros(0, len(x), dtype=torch.bool), x.new_zeros(0, x.shape[1])
    return (torch.stack(gates), torch.stack(units)) if gates else none


def _curves(loss: Curve) -> tuple[list[tuple[float, float]], Callable[[Any], Any]]:
    """Affine functions `a + b * (margin without change)` below each excess, and its cost."""
    import numpy as np

    if loss == "hinge":
        return [(0.0, 0.0), (1.0, -1.0)], lambda e: (e, np.ones_like(e), np.zeros_like(e))
    if loss == "squared":
        return [(1.0, -1.0), (-1.0, 1.0)], lambda e: (e**2 / 2, e, np.ones_like(e))

    def logistic(e: Any) -> Any:
        open_ = 1 / (1 + np.exp(-e))
        return np.logaddexp(0, e), open_, open_ * (1 - open_)

    return [(0.0, -1.0)], logistic


class _Table:
    """The linear rows of a program of gated units, and where its variables stand."""

    def __init__(self, x: Any, label: Any, gate: Any, radius: float, moved: int) -> None:
        import numpy as np
        from scipy.sparse import block_diag, csr_matrix, eye, hstack, kron

        (n, p), groups = x.shape, 2 * len(gate)
        self.n, self.d, self.groups = n, moved if radius > 0 else 0, groups
        self.radius, self.width = radius, groups * (1 + p)
        self.cones = np.arange(self.width).reshape(groups, 1 + p)
        self.both, self.ways = np.r_[gate, gate], np.repeat([1.0, -1.0], len(gate))
        entry = hstack([csr_matrix((p, 1)), eye(p)])  # a unit without the bound of its norm
        out = kron(eye(groups), entry).tocsr()
        self.open = block_diag([(2 * g - 1)[:, None] * x for g in self.both]) @ out
        parts = zip(self.both, self.ways, strict=True)
        read = hstack([csr_matrix(way * g[:, None] * x) for g, way in parts])
        self.read = (read @ out).multiply(label[:, None]).tocsr()  # margins without change
        self.own = self.summed = csr_matrix((0, self.width))
        if self.d:
            pick = hstack([csr_matrix((moved, 1)), eye(moved), csr_matrix((moved, p - moved))])
            self.own = kron(eye(groups), pick).tocsr()
            self.summed = kron((self.both * self.ways[:, None]).T, np.eye(moved)) @ self.own

    def rows(self, lines: list[tuple[float, float]]) -> tuple[Any, Any]:
        """All rows: patterns, losses above their lines, absolute values of entries."""
        import numpy as np
        from scipy.sparse import bmat, csr_matrix, eye, kron, vstack

        n, d, groups, blank = self.n, self.d, self.groups, csr_matrix
        each, every = groups * d, n * d
        spend = -self.radius * kron(eye(groups), np.ones((n, d))) if d else blank((groups * n, 0))
        pay = -self.radius * kron(eye(n), np.ones((1, d))) if d else blank((n, 0))
        blocks = [[self.open, blank((groups * n, n)), spend, blank((groups * n, every))]]
        blocks += [
            [-b * self.read, eye(n), blank((n, each)), pay if b else blank((n, every))]
            for _, b in lines
        ]
        for way in (1.0, -1.0) if d else ():
            blocks.append([way * self.own, blank((each, n)), eye(each), blank((each, every))])
            blocks.append([way * self.summed, blank((every, n + each)), eye(every)])
        matrix = vstack([bmat([row]) for row in blocks]).tocsr()
        shift = np.zeros(matrix.shape[0])
        for place, (a, _) in enumerate(lines):
            shift[(groups + place) * n :][:n] = -a
        return matrix, shift

    def start(self, units: Any, matrix: Any, shift: Any, lines: int) -> Any:
        """A strictly feasible point around units strictly inside their patterns."""
        import numpy as np

        n, d, width, groups = self.n, self.d, self.width, self.groups
        at = np.zeros(matrix.shape[1])
        at[self.cones[:, 1:]] = np.r_[units, units]
        at[self.cones[:, 0]] = 1 + np.sqrt((at[self.cones[:, 1:]] ** 2).sum(1))
        if d:
            size = np.abs(at[self.cones[:, 1 : 1 + d]])
            room = (self.open @ at[:width]).reshape(groups, n).min(1) - self.radius * size.sum(1)
            size = size + np.minimum(room / (2 * self.radius * d), 1)[:, None]
            at[width + n :][: groups * d] = size.ravel()
            at[width + n + groups * d :] = 1 + np.abs(self.summed @ at[:width])
        below = (matrix @ at + shift)[groups * n :][: lines * n]
        at[width : width + n] = 1 - below.reshape(lines, n).min(0)
        return at


def program(  # a program is what it is made of
    x: Tensor, sign: Tensor, gates: Tensor, units: Tensor, *, radius: float, moved: int,
    decay: float, loss: Curve,
) -> tuple[Program, Any]:  # fmt: skip
    """Least mean worst-case loss of gated linear units plus `decay` times their norms.

    Variables, in this order: g positive and g negative units, each as (bound of its norm, its p
    entries); an excess per row, whose convex cost is the loss; with a radius also the bounds of
    |entry| of every unit and those of every row's summed unit, whose 1-norms times the radius
    are what a change can do.

    Args:
        x: rows `(n, p)`.
        sign: `(n,)` labels, -1 or 1.
        gates: `(g, n)` bool.
        units: `(g, p)` strictly inside their patterns.
        radius: largest change of an entry.
        moved: how many columns can change.
        decay: weight of the norms.
        loss: of one row as a function of its margin.

    Returns:
        The program and a strictly feasible start.
    """
    import numpy as np

    table = _Table(x.numpy(), sign.numpy(), gates.double().numpy(), radius, moved)
    lines, curve = _curves(loss)
    matrix, shift = table.rows(lines)
    heads, excess = table.cones[:, 0], slice(table.width, table.width + table.n)

    def cost(v: Any) -> tuple[float, Any, Any]:
        e, slope, bend = curve(v[excess])
        gradient, diagonal = np.zeros(len(v)), np.zeros(len(v))
        gradient[heads] = decay
        gradient[excess], diagonal[excess] = slope / table.n, bend / table.n
        return float(e.mean() + decay * v[heads].sum()), gradient, diagonal

    start = table.start(units.numpy(), matrix, shift, len(lines))
    return Program(cost, matrix, shift, table.cones), start
