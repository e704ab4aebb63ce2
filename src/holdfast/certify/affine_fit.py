"""Affine models of sampled margins: by least squares, or with the least largest residual."""

from __future__ import annotations

import torch
from torch import Tensor


def modelled(changes: Tensor, slope: Tensor, bias: Tensor) -> Tensor:
    """`(B, N)`: what an affine model says of each change.

    Args:
        changes: `(B, N, d)`.
        slope: `(B, d)`.
        bias: `(B,)`.
    """
    said: Tensor = (changes * slope[:, None]).sum(2) + bias[:, None]
    return said


def least_squares(changes: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes `(B, d)` and biases `(B,)`; where a margin is not finite, the flat model of it."""
    broken = ~margins.isfinite().all(1)
    known = torch.where(broken[:, None], 0.0, margins)
    ones = torch.ones_like(changes[:, :, :1])
    # Scaled, so that coordinates that hardly move do not look as if they did not move at all.
    scale = changes.abs().amax((1, 2), keepdim=True).clamp(min=1e-300)
    table = torch.cat([changes / scale, ones], 2).cpu()
    found = torch.linalg.lstsq(table, known[:, :, None].cpu(), driver="gelsd").solution.squeeze(2)
    found = found.to(changes.device)
    bias = torch.where(broken, torch.inf, found[:, -1])
    return torch.where(broken[:, None], 0.0, found[:, :-1] / scale[:, 0]), bias


def focused(
    changes: Tensor, margins: Tensor, slope: Tensor, bias: Tensor, free: int
) -> tuple[Tensor, Tensor]:
    """The largest slopes and the bias chosen anew, so that the largest residual is least."""
    from scipy.optimize import linprog

    slope, bias = slope.clone(), bias.clone()
    for row in range(len(slope)):
        known = margins[row]
        if not bool(known.isfinite().all()) or not bool(bias[row].isfinite()):
            continue
        top = slope[row].abs().topk(min(free, slope.shape[1])).indices
        fixed = slope[row].clone()
        fixed[top] = 0
        rest = known - changes[row] @ fixed
        scale = changes[row].abs().amax().clamp(min=1e-300)
        part = torch.cat([changes[row][:, top] / scale, torch.ones_like(known)[:, None]], 1)
        width = -torch.ones_like(known)[:, None]
        table = torch.cat([torch.cat([part, width], 1), torch.cat([-part, width], 1)])
        cost = [0.0] * part.shape[1] + [1.0]
        found = linprog(
            cost, A_ub=table.cpu().numpy(), b_ub=torch.cat([rest, -rest]).cpu().numpy(),
            bounds=(None, None), method="highs",
        )  # fmt: skip
        if found.status == 0:
            values = torch.as_tensor(found.x, dtype=slope.dtype, device=slope.device)
            slope[row, top], bias[row] = values[: len(top)] / scale, values[-2]
    return slope, bias
