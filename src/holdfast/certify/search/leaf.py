"""Parts on which every ReLU is linear: a linear program, whose multipliers prove its value."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from holdfast.certify.linear.backward import backward
from holdfast.certify.linear.coefficients import Bounds

ELASTIC = 1e5  # price of violating a sign, against coefficients of the objective


def solved(
    bounds: Bounds, slope: Tensor, signs: dict[int, Tensor]
) -> tuple[Tensor, dict[int, Tensor]] | None:
    """Minimise a linear function over the inputs at which the signs are as they should be.

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
    found = linprog(
        np.append(slope.flatten().numpy(), price),
        A_ub=np.hstack([a, -np.ones((len(a), 1))]), b_ub=torch.cat(limits).numpy(),
        bounds=[*zip(low, high, strict=True), (0, None)], method="highs",
    )  # fmt: skip
    if found.x is None:
        return None
    betas = {p: torch.zeros(sign.numel(), dtype=torch.float64) for p, sign in signs.items()}
    for (p, k), value in zip(places, -found.ineqlin.marginals, strict=True):
        betas[p][k] = max(0.0, float(value))
    x = torch.from_numpy(np.asarray(found.x[:-1])).reshape(slope.shape)
    low_, high_ = bounds.region.box
    point = torch.clamp(x, low_[0], high_[0])
    return point, {p: b.reshape(signs[p].shape) for p, b in betas.items()}
