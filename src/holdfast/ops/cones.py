"""Convex programs over half-spaces and norm cones, solved to a duality gap that is handed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CENTRED = 1e-12  # half the squared Newton decrement at which a centre counts as found
NEAR = 0.2  # below this decrement a full Newton step stays inside and converges quadratically
GROWTH = 8.0  # of the weight of the objective between two centres


@dataclass(frozen=True, eq=False)
class Program:
    """Least `cost(x)` with `rows @ x + offset >= 0` and `x[first] >= |x[rest]|_2` in each cone.

    Args:
        cost: x -> value, gradient `(N,)` and diagonal of the Hessian `(N,)` of a convex cost
            that is a sum over coordinates.
        rows: sparse `(M, N)`.
        offset: `(M,)`.
        cones: `(C, 1 + p)` positions in x; no position stands in two cones.
    """

    cost: Callable[[Any], tuple[float, Any, Any]]
    rows: Any
    offset: Any
    cones: Any


@dataclass(frozen=True, eq=False)
class Solved:
    """A strictly feasible point and how far from the optimum it can be.

    Args:
        x: the point `(N,)`.
        value: its cost.
        slack: duality gap where the dual is stationary.
        residual: sum of absolute values of what is left of the Lagrangian's gradient.
        steps: Newton steps taken.
    """

    x: Any
    value: float
    slack: float
    residual: float
    steps: int

    def gap(self, reach: float) -> float:
        """Upper bound of `value - optimum`, if some optimum has no coordinate beyond `reach`.

        Derivation: the multipliers lie in the dual cones, so for an optimum z the Lagrangian
        bounds its cost from below, and by convexity `L(z) >= L(x) + grad L(x) (z - x)`, where
        `L(x) = value - slack`.
        """
        return self.slack + self.residual * (reach + float(abs(self.x).max()))


def _inside(program: Program, x: Any) -> tuple[Any, Any]:
    """Distances to the half-spaces and `first^2 - |rest|^2` of the cones; negative outside."""
    import numpy as np

    head, rest = x[program.cones[:, 0]], x[program.cones[:, 1:]]
    size = np.sqrt((rest**2).sum(1))
    return program.rows @ x + program.offset, (head - size) * np.abs(head + size)


def _factor(matrix: Any) -> Any:
    """Cholesky factor of a positive matrix of unit diagonal that rounding may have bent."""
    import numpy as np
    from scipy.linalg import LinAlgError, cho_factor

    for lift in (0.0, 1e-15, 1e-13, 1e-11):
        try:
            return cho_factor(matrix + lift * np.eye(len(matrix)))
        except LinAlgError:
            continue
    return cho_factor(matrix + 1e-9 * np.eye(len(matrix)))


def _newton(program: Program, x: Any, weight: float) -> tuple[float, Any, Any]:
    """Value, gradient and Newton step of `weight * cost + barrier`."""
    import numpy as np
    from scipy.linalg import cho_solve
    from scipy.sparse import diags

    slack, depth = _inside(program, x)
    value, gradient, bend = program.cost(x)
    gradient = weight * gradient - program.rows.T @ (1 / slack)
    hessian = (program.rows.T @ diags(slack**-2) @ program.rows).toarray()
    hessian[np.diag_indices(len(x))] += weight * bend
    turned = x[program.cones] * np.r_[1.0, -np.ones(program.cones.shape[1] - 1)]
    gradient[program.cones] -= 2 * turned / depth[:, None]
    block = 4 * turned[:, :, None] * turned[:, None, :] / depth[:, None, None] ** 2
    sign = np.diag(np.r_[1.0, -np.ones(program.cones.shape[1] - 1)])
    block = block - 2 * sign / depth[:, None, None]
    hessian[program.cones[:, :, None], program.cones[:, None, :]] += block
    scale = 1 / np.sqrt(np.diag(hessian))  # distances differ by many orders near the optimum
    factor = _factor(hessian * scale[:, None] * scale[None])
    merit = weight * value - float(np.log(slack).sum() + np.log(depth).sum())
    return merit, gradient, -scale * cho_solve(factor, scale * gradient)


def _step(program: Program, x: Any, weight: float, merit: float, way: Any, fall: float) -> Any:
    """The longest halved step that stays inside and lowers the merit."""
    import numpy as np

    length = 1.0
    for _ in range(60):
        new = x + length * way
        slack, depth = _inside(program, new)
        if slack.min() > 0 and depth.min() > 0:
            if fall < NEAR**2:
                return new
            here = weight * program.cost(new)[0] - np.log(slack).sum() - np.log(depth).sum()
            if here <= merit - 0.1 * length * fall:
                return new
        length /= 2
    return x


def solve(program: Program, start: Any, *, slack: float = 1e-6, limit: int = 400) -> Solved:
    """Follow the central path of the logarithmic barrier by Newton steps.

    Every point on the way is strictly feasible. With `1 / (weight * distance)` as multipliers,
    which are dual feasible as they are positive, the complementary products add up to
    `(half-spaces + 2 * cones) / weight` at every point, centred or not; the rest of the gap is
    the residual of the stationarity, which is measured and handed out.

    Args:
        program: what is solved.
        start: strictly feasible point `(N,)`.
        slack: duality gap at which to stop, in the unit of the cost.
        limit: most Newton steps.

    Cost: one dense Cholesky factor of size N per step, usually 50 to 100 steps.
    """
    import numpy as np

    x, steps = np.array(start, dtype=float), 0
    degree = len(program.offset) + 2 * len(program.cones)
    weight = degree / max(abs(program.cost(x)[0]), slack)
    best: Solved | None = None
    while True:
        last = np.inf
        for _ in range(50):
            merit, gradient, way = _newton(program, x, weight)
            fall, before = float(-gradient @ way), x
            stalls = last < NEAR**2 and fall > last / 2  # rounding: no nearer centre to be had
            if fall / 2 < CENTRED or stalls or steps >= limit:
                break
            x, steps, last = _step(program, x, weight, merit, way, fall), steps + 1, fall
            if x is before:
                break
        residual = float(np.abs(_newton(program, x, weight)[1]).sum()) / weight
        here = Solved(x, program.cost(x)[0], degree / weight, residual, steps)
        if best is not None and here.gap(1.0) >= best.gap(1.0):
            return best  # rounding has the upper hand from here on
        best = here
        if degree / weight <= slack or steps >= limit:
            return best
        weight = min(weight * GROWTH, degree / slack)
