"""What is certified about the positions of a row, and how much that tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED


@dataclass(frozen=True)
class Segments:
    """What is known about every position.

    Args:
        node: `(B, ...)` the class, or the number of its group at `level`.
        level: `(B, ...)` 0 for single classes, larger for coarser groups.
        certified: `(B, ...)` bool; elsewhere nothing is said.
        radius: L2 length up to which all certified positions of a row keep their node together.
    """

    node: Tensor
    level: Tensor
    certified: Tensor
    radius: float


def flat(x: Tensor) -> Tensor:
    """`(B, positions)`; a single answer per row is one position."""
    return x.flatten(1) if x.dim() > 1 else x[:, None]


def information_gain(found: Segments, y: Tensor, hierarchy: Tensor) -> Tensor:
    """`(B,)`: how much the certified nodes tell about the labels, from 0 to 1.

    A certified node that holds the true class and G classes in all tells `log K - log G` of the
    `log K` that the class itself would; abstaining or wrong positions tell nothing. With single
    classes only it is the share of positions certified right.

    Args:
        found: by `Segmentation.segments`.
        y: `(B, ...)` labels; -100 does not count.
        hierarchy: `(L, K)` groups of each class at each level.
    """
    classes, known = hierarchy.shape[1], y != UNLABELLED
    truth = hierarchy.to(y.device)[:, y.clamp(min=0)]
    own = truth.gather(0, found.level[None])[0]
    sizes = torch.stack([torch.bincount(level, minlength=classes) for level in hierarchy])
    size = sizes.to(y.device)[found.level, found.node].clamp(min=1).double()
    told = (log(classes) - size.log()) / log(classes) * (found.certified & (own == found.node))
    counted = flat(known)
    gain = (flat(told) * counted).sum(1) / counted.sum(1).clamp(min=1)
    return gain
