"""ReLU networks as mixed-integer linear programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from holdfast.certify.linear.bounds import propagate
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.prepare import Question
from holdfast.certify.network.operators import Operator
from holdfast.core.errors import Unsupported

INTERCEPT = 0  # the first variable is the constant 1


@dataclass
class Program:
    """Variables and rows `a v <= b`; variable 0 is the constant 1, those of the input follow.

    Args:
        low: lower end of each variable.
        high: upper end.
        whole: whether it is an integer.
        rows: coefficients by variable.
        limits: right-hand sides.
    """

    low: list[float]
    high: list[float]
    whole: list[int]
    rows: list[dict[int, float]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    def variable(self, low: float, high: float, *, whole: bool = False) -> int:
        """A new variable; returns its number."""
        self.low.append(low)
        self.high.append(high)
        self.whole.append(int(whole))
        return len(self.low) - 1

    def at_most(self, row: dict[int, float], limit: float) -> None:
        """A new row."""
        self.rows.append(row)
        self.limits.append(limit)

    def rectified(self, z: dict[int, float], low: float, high: float) -> dict[int, float]:
        """`max(z, 0)` of an affine expression with known ends, as an expression.

        With a binary d that says whether z is positive: `a >= z`, `a <= z - low (1 - d)`,
        `0 <= a <= high d`.
        """
        if low >= 0:
            return z
        if high <= 0:
            return {}
        a, d = self.variable(0.0, high), self.variable(0, 1, whole=True)
        minus = {k: -v for k, v in z.items()}
        self.at_most({**z, a: -1.0}, 0.0)
        self.at_most({**minus, a: 1.0, d: -low}, -low)
        self.at_most({a: 1.0, d: -high}, 0.0)
        return {a: 1.0}

    def within(self, centre: list[float], radius: float) -> None:
        """Keep the input in an L1 ball: `t >= x - c`, `t >= c - x`, and the t add up to it."""
        away = [self.variable(0.0, radius) for _ in centre]
        for k, (c, t) in enumerate(zip(centre, away, strict=True), INTERCEPT + 1):
            self.at_most({k: 1.0, t: -1.0}, c)
            self.at_most({k: -1.0, t: -1.0}, -c)
        self.at_most(dict.fromkeys(away, 1.0), radius)


def written(bounds: Bounds, row: int) -> tuple[Program, Tensor]:
    """The program of one row, and `(V, K)` its logits as affine expressions of the variables.

    Raises:
        Unsupported: where something else than affine operators and ReLU is in the network.
    """
    graph = bounds.graph
    region = bounds.region.take(slice(row, row + 1))
    low, high = (end.flatten().tolist() for end in region.box)
    program = Program([1.0, *low], [1.0, *high], [0] * (len(low) + 1))
    if region.radius is not None:
        program.within(region.centre.flatten().tolist(), float(region.radius))
    first = torch.eye(len(low) + 1, dtype=torch.float64)[:, 1:]
    values = [first.reshape(-1, *graph.nodes[0].shape)]
    for node in graph.nodes[1:]:
        inputs = [_grown(values[p], len(program.low)) for p in node.parents]
        if isinstance(node.operator, Operator):
            value = node.operator.linear(inputs)
            if node.operator.bias is not None:
                value[INTERCEPT] += node.operator.bias
        elif node.is_relu:
            value = _relu(program, inputs[0], bounds, node.parents[0], row)
        else:
            raise Unsupported(
                f"mixed-integer programs of {type(node.operator).__name__}",
                fix="Use beta-crown, or a network of affine layers and ReLU.", code="E0313",
            )  # fmt: skip
        values.append(value.reshape(len(value), *node.shape))
    return program, _grown(values[graph.output], len(program.low))


def _grown(value: Tensor, size: int) -> Tensor:
    more = size - len(value)
    return torch.cat([value, value.new_zeros(more, *value.shape[1:])]) if more else value


def _relu(program: Program, z: Tensor, bounds: Bounds, p: int, row: int) -> Tensor:
    """A ReLU, coordinate by coordinate."""
    flat = z.flatten(1)
    low, high = (end[row].flatten().tolist() for end in bounds.boxes[p])
    expressions: list[dict[int, float]] = []
    for k in range(flat.shape[1]):
        used = flat[:, k].nonzero().flatten().tolist()
        line = {v: float(flat[v, k]) for v in used}
        expressions.append(program.rectified(line, low[k], high[k]))
    out = torch.zeros(len(program.low), flat.shape[1], dtype=torch.float64)
    for k, line in enumerate(expressions):
        for v, factor in line.items():
            out[v, k] = factor
    return out.reshape(len(out), *z.shape[1:])


def solve(program: Program, objective: Sequence[float], seconds: float) -> float | None:
    """The least value of an objective, in floating point; None if it was not found in time."""
    from scipy.optimize import Bounds as Ends
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_array

    numbers = [*objective, *program.low, *program.high, *program.limits]
    if not np.isfinite(numbers + [f for row in program.rows for f in row.values()]).all():
        return None
    ends = Ends(np.array(program.low), np.array(program.high))
    rows = []
    if program.rows:
        at = [(r, v, f) for r, row in enumerate(program.rows) for v, f in row.items()]
        r, v, f = zip(*at, strict=True)
        matrix = csr_array((f, (r, v)), shape=(len(program.rows), len(program.low)))
        rows = [LinearConstraint(matrix, -np.inf, np.array(program.limits))]
    found = milp(
        np.array(objective), integrality=np.array(program.whole), bounds=ends, constraints=rows,
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )  # fmt: skip
    return float(found.fun) if found.status == 0 else None


def worst_way(question: Question, row: int, seconds: float) -> float | None:
    """The largest margin of a row over its region as the solver finds it; None without one."""
    graph, region, c, constant = question
    one = slice(row, row + 1)
    bounds = propagate(graph, region.take(one), "crown")
    program, logits = written(bounds, 0)
    end = time.monotonic() + seconds
    worst = -torch.inf
    for way in range(c.shape[1]):
        if bool(constant[row, way] == -torch.inf):
            continue
        objective = -(logits @ c[row, way]).numpy()
        found = solve(program, objective.tolist(), max(0.1, end - time.monotonic()))
        if found is None:
            return None
        worst = max(worst, float(constant[row, way]) - found)
    return worst
