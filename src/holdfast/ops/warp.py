"""Pictures read at other places, by lines and planes; and pixels that wander at random."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.ops.filters import Border

PIECE = 1 << 16  # pixels whose wanderings are followed at a time


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
    grid = x.new_empty(*torch.broadcast_tensors(right, down)[0].shape, 2)
    for axis, (place, n) in enumerate(((right, width), (down, height))):
        if corners:
            grid[..., axis] = (place * (2 / max(n - 1, 1))).sub_(1)
        else:
            grid[..., axis] = (place * (2 / n)).add_(1 / n - 1)
    mode = "border" if border == "nearest" else "reflection"
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
        `(B, H W)` flat places, int32.

    Cost: a look-up per pixel and pass; with every pass the known part of all chains doubles.
    """
    few = max(1, PIECE // max(1, there[:1].numel()))
    return torch.cat([_followed(part, reach) for part in there.int().split(few)])


def _followed(partner: Tensor, reach: int) -> Tensor:
    """The same for a few images, whose table stays in a cache."""
    b, high, wide = partner.shape
    height, width = high + 2 * reach, wide + 2 * reach
    size, inner = height * width, slice(reach + 1, None)
    # Below `size` stands a pixel as it was at first, from there on one as it is after its turn;
    # places count on from image to image.
    place = torch.arange(size, device=partner.device, dtype=torch.int32)
    start = torch.arange(b, device=partner.device, dtype=torch.int32)[:, None] * (2 * size)
    held = place.repeat(b, 2)
    window = held[:, size:].view(b, height, width)[:, inner, inner][:, :high, :wide]
    later = (window - partner).bitwise_right_shift_(31)  # -1 where the partner is further on
    window.copy_(later.bitwise_and_(size).add_(partner))
    held += start
    after = held[:, size:]
    found = after - start
    while found.numel() and int(found.amax()) >= size:
        after.copy_(held.flatten().index_select(0, after.flatten()).view(b, size))
        found = after - start
    return found


def picked(x: Tensor, place: Tensor) -> Tensor:
    """Each row of `(B, ..., N)` read at its own whole places `(B, N)`.

    As `gather`, but by counting places on through the whole tensor, which is much quicker.
    """
    room = torch.int32 if x.numel() < 1 << 31 else torch.int64
    start = torch.arange(x[..., 0].numel(), device=x.device, dtype=room).mul_(x.shape[-1])
    index = start.view(*x.shape[:-1], 1) + place.to(room).view(
        len(x), *(1,) * (x.dim() - 2), x.shape[-1]
    )
    return x.flatten().index_select(0, index.flatten()).view(x.shape)


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
