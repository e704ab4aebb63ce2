"""Pictures read at other places, by lines and planes; and pixels that wander at random."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.ops.filters import Border


def sampled(x: Tensor, right: Tensor, down: Tensor, border: Border) -> Tensor:
    """Images read at given places, bilinearly, all channels alike.

    Args:
        x: `(B, C, H, W)`.
        right: `(B, H, W)` columns to read at, in pixels.
        down: `(B, H, W)` rows to read at.
        border: what lies outside; see `ops.filters`.
    """
    height, width = x.shape[2:]
    corners = border == "mirror"
    if corners:
        u, v = (2 * p / max(n - 1, 1) - 1 for p, n in ((right, width), (down, height)))
    else:
        u, v = ((2 * p + 1) / n - 1 for p, n in ((right, width), (down, height)))
    mode = "border" if border == "nearest" else "reflection"
    grid = torch.stack([u, v], -1).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode=mode, align_corners=corners)


def pixels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Columns `(1, 1, W)` and rows `(1, H, 1)` of images, in their type."""
    height, width = x.shape[2:]
    column = torch.arange(width, device=x.device, dtype=x.dtype)
    row = torch.arange(height, device=x.device, dtype=x.dtype)
    return column[None, None], row[None, :, None]


def through_points(before: Tensor, after: Tensor) -> Tensor:
    """`(B, 2, 3)` affine maps that take three points to three others.

    Args:
        before: `(B, 3, 2)`; on one line (an image of a few pixels) the map is a shift.
        after: `(B, 3, 2)`.
    """
    edges, moved = (p[:, :2] - p[:, 2:] for p in (before, after))
    flat = torch.linalg.det(edges).abs() < 1e-9
    eye = torch.eye(2, dtype=before.dtype, device=before.device).expand_as(edges)
    solved = torch.linalg.solve(torch.where(flat[:, None, None], eye, edges), moved).mT
    turn = torch.where(flat[:, None, None], eye, solved)
    shift = after[:, 2] - (turn @ before[:, 2, :, None])[..., 0]
    return torch.cat([turn, shift[..., None]], 2)


def wandering(there: Tensor, reach: int) -> Tensor:
    """Where each pixel comes from after all pixels copied a neighbour each, one by one.

    Pixels take turns from the last row to the first and in a row from the last to the first;
    each takes what its partner holds at that time. A partner further on had its turn before and
    holds what its own partner gave it, so the origin is the end of a chain of partners; all
    chains are followed at once, those that have ended left out.

    Args:
        there: `(B, H', W')` flat places of the partners of the inner pixels, which start at row
            and column `reach + 1`; each within `reach` rows and columns of its pixel.
        reach: at least 1.

    Returns:
        `(B, H W)` flat places.

    Cost: about two look-ups per pixel: half of the chains end with each step.
    """
    b, high, wide = there.shape
    height, width = high + 2 * reach, wide + 2 * reach
    place = torch.arange(height * width, device=there.device)
    here = place.view(height, width)[reach + 1 : reach + 1 + high, reach + 1 : reach + 1 + wide]
    size = height * width
    inner = torch.zeros(size, dtype=torch.bool, device=there.device)
    inner[here.flatten()] = True
    own = place.repeat(b, 1)
    # From `size` on stands a pixel as it is after its turn, below it one as it was at first.
    window = own.view(b, height, width)[:, reach + 1 :, reach + 1 :][:, :high, :wide]
    window.copy_(there + size * ((there > here) & inner[there]))
    partner = own.flatten()
    found = partner.clone()
    unsettled = (found >= size).nonzero()[:, 0]
    start = unsettled // size * size
    while len(unsettled):
        step = partner[start + found[unsettled] - size]
        found[unsettled] = step
        longer = step >= size
        unsettled, start = unsettled[longer], start[longer]
    return found.view(b, size)


def traded(there: Tensor, reach: int) -> Tensor:
    """As `wandering`, but the partner gets the pixel in exchange.

    Pixels on a slanted line are too far apart to meet, so whole lines take their turn at once:
    with a reach r the turn is `2 r` times the row plus the column.

    Cost: `W + 2 r H` steps whatever the number of images.
    """
    b, high, wide = there.shape
    width = wide + 2 * reach
    rows, columns = torch.arange(high), torch.arange(wide)
    turn = (2 * reach * (high - 1 - rows)[:, None] + (wide - 1 - columns)).flatten()
    order = turn.argsort(stable=True)
    counts = torch.bincount(turn).tolist()
    here = ((rows + reach + 1)[:, None] * width + columns + reach + 1).flatten()[order]
    size = (high + 2 * reach) * width
    start = (torch.arange(b) * size).to(there.device)
    mine = here.to(there.device)[:, None] + start
    theirs = there.flatten(1).T[order.to(there.device)] + start
    held = torch.arange(size, device=there.device).repeat(b)
    for own, other in zip(mine.split(counts), theirs.split(counts), strict=True):
        taken = held[other]
        held[other] = held[own]
        held[own] = taken
    return held.reshape(b, size)
