"""Parts on which every ReLU is linear: multipliers of a linear program prove its value."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.linear.coefficients import Bounds
from holdfast.certify.linear.region import Region

ELASTIC = 1e5  # price of violating a sign, against coefficients of the objective


def solved(
    bounds: Bounds, slope: Tensor, signs: dict[int, Tensor]
) -> tuple[Tensor, dict[int, Tensor]] | None:
    """Minimise a linear function over the inputs at which the signs are as they should be.

    The inputs are a box, cut by an L1 ball where there is one. A ball of another norm is left
    out: then the multipliers are those of the box, and hold all the same.

    The signs may be violated at a price, so that the program always has a solution: where no
    input has all signs, the multipliers show that.

    Args:
        bounds: of one part, one row, on which no ReLU is open.
        slope: `(...)` of the function, of the input's shape.
        signs: by position, `(*shape)`.

    Returns:
        The minimiser, and multipliers of the signs by position; None if the solver fails.
    """
    from scipy.optimize import linprog

    rows, limits, places = [], [], []
    for p, sign in signs.items():
        which = sign.flatten().nonzero().flatten()
        if not len(which):
            continue
        one = torch.zeros(1, len(which), sign.numel(), dtype=torch.float64)
        one[0, torch.arange(len(which)), which] = -sign.flatten()[which].double()
        line = backward(bounds, p, one.reshape(1, len(which), *sign.shape))
        rows.append(line.slope[0].flatten(1))
        limits.append(-line.offset[0])
        places += [(p, int(k)) for k in which]
    if not places:
        return None
    a = torch.cat(rows).numpy()
    price = ELASTIC * max(1e-12, float(slope.abs().max()))
    low, high = (end.flatten().tolist() for end in bounds.region.box)
    a, most = np.hstack([a, -np.ones((len(a), 1))]), torch.cat(limits).numpy()
    ball, reach = within(bounds.region)
    extra = ball.shape[1] - a.shape[1]  # distances of an L1 ball
    found = linprog(
        np.concatenate([slope.flatten().numpy(), [price], np.zeros(extra)]),
        A_ub=np.vstack([np.pad(a, ((0, 0), (0, extra))), ball]), b_ub=np.append(most, reach),
        bounds=[*zip(low, high, strict=True), *[(0, None)] * (1 + extra)], method="highs",
    )  # fmt: skip
    if found.x is None:
        return None
    betas = {p: torch.zeros(sign.numel(), dtype=torch.float64) for p, sign in signs.items()}
    for (p, k), value in zip(places, -found.ineqlin.marginals[: len(places)], strict=True):
        betas[p][k] = max(0.0, float(value))
    x = torch.from_numpy(np.asarray(found.x[: slope.numel()])).reshape(slope.shape)
    low_, high_ = bounds.region.box
    point = torch.clamp(x, low_[0], high_[0])
    return point, {p: b.reshape(signs[p].shape) for p, b in betas.items()}


def within(region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the L1 ball of a region of one row: inputs, a column for the price, distances."""
    n = region.centre.numel()
    if region.radius is None or region.norm != 1:
        return np.zeros((0, n + 1)), np.zeros(0)
    centre, one, none = region.centre.flatten().numpy(), np.eye(n), np.zeros((n, 1))
    rows = [np.hstack([sign * one, none, -one]) for sign in (1.0, -1.0)]
    total = np.append(np.zeros(n + 1), np.ones(n))
    return np.vstack([*rows, total]), np.concatenate([centre, -centre, region.radius.numpy()])
