"""Changes of few positions: counting them, keeping the best of them, per row without loops.

A position is a coordinate of a flat row `(B, n)`, and all channels at one place of an image
`(B, C, H, W)` or a signal `(B, C, L)`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def by_position(values: Tensor) -> Tensor:
    """`(B, P)`: numbers of each coordinate summed over the channels of its position."""
    return values.sum(1).flatten(1) if values.dim() > 2 else values.flatten(1)


def over_channels(mask: Tensor, like: Tensor) -> Tensor:
    """`(B, P)` per position, shaped so that it meets every channel of `like` `(B, ...)`."""
    if like.dim() > 2:
        return mask.reshape(len(like), 1, *like.shape[2:])
    return mask.reshape(like.shape)


def count(change: Tensor) -> Tensor:
    """`(B,)`: positions that a change touches, in the type of the change."""
    return (by_position((change != 0).to(torch.float32)) > 0).sum(1).to(change.dtype)


def largest(scores: Tensor, counts: Tensor) -> Tensor:
    """`(B, P)` bool: of each row as many positions with the largest scores as its count says.

    Equal scores are taken in order, and scores of 0 or less never.

    Args:
        scores: `(B, P)`.
        counts: `(B,)` whole numbers.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    rank = torch.empty_like(order).scatter(1, order, place)
    return (rank < counts.to(rank)[:, None]) & (scores > 0)


def project_l0(d: Tensor, counts: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Nearest change of at most so many positions within the box.

    Leaving a position out costs its square length, keeping it costs the square of what the box
    cuts off; the sum is least when the positions with the largest difference are kept.

    Args:
        d: `(B, ...)` changes.
        counts: `(B,)` whole numbers: how many positions each row may touch.
        down: `(B, ...)` least admissible change, <= 0.
        up: `(B, ...)` largest admissible change, >= 0.
    """
    inside = torch.minimum(torch.maximum(d, down), up)
    # d^2 - (d - inside)^2, written so that huge changes do not overflow
    top = inside.flatten(1).abs().amax(1) if inside[:1].numel() else inside.flatten(1).sum(1)
    gain = inside / top.clamp(min=torch.finfo(d.dtype).tiny).reshape(-1, *[1] * (d.dim() - 1))
    kept = largest(by_position(gain * (2 * d - inside)), counts)
    return torch.where(over_channels(kept, inside), inside, 0.0)
