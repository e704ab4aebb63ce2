"""How many labels look wrong, told by the rows around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from holdfast.cli.school import School

_NEAR, _TELLING, _MOST = 10, 0.7, 2000  # neighbours; share of votes; rows


def odd_labels(school: School) -> float:
    """Share of training rows whose label the vote of their ten nearest neighbours contradicts.

    A vote counts if half of the neighbours agree. Where most rows have no such neighbours,
    distances between inputs say nothing about labels, and the answer is 0. Where groups are
    known, only rows of the same group are asked, for rows in other surroundings are far away
    whatever they show; a row whose group has too few rows hears no vote.
    """
    rows = school.learn
    if not isinstance(rows.x, torch.Tensor) or rows.y.dim() != 1 or len(rows) <= 2 * _NEAR:
        return 0.0
    some = rows.take(slice(0, _MOST)).whole
    flat = some.x.flatten(1).float()  # type: ignore[union-attr]
    far = torch.cdist(flat, flat)
    far.fill_diagonal_(torch.inf)
    if some.group is not None:
        far[some.group[:, None] != some.group] = torch.inf
    away, close = far.topk(_NEAR, largest=False)
    near = some.y[close]
    voted = near.mode(1).values
    agreed = ((near == voted[:, None]).sum(1) >= _NEAR / 2) & away[:, -1].isfinite()
    if float(agreed.double().mean()) < _TELLING:
        return 0.0
    return float(((voted != some.y) & agreed).double().mean())
