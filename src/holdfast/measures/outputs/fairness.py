"""How differently answers fall over attributes and classes."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.inputs import some_rows


def rate_gaps(answers: Tensor, y: Tensor, attribute: Tensor) -> tuple[float, float]:
    """Demographic parity difference and equalised odds difference of answers.

    The first is the largest spread over attributes of how often an answer is given; the second
    that of how often it is given to rows of one class, the largest over answers and classes.

    Args:
        answers: `(n,)` classes.
        y: `(n,)` labels.
        attribute: `(n,)` whole numbers.
    """

    def spread(rows: Tensor) -> float:
        shares = [
            torch.nn.functional.one_hot(answers[rows & (attribute == a)], top).double().mean(0)
            for a in attribute[rows].unique()
        ]
        every = torch.stack(shares)
        return float((every.amax(0) - every.amin(0)).max())

    some_rows(y, "rate_gaps")
    top = int(torch.max(answers.max(), y.max())) + 1
    everywhere = torch.ones_like(y, dtype=torch.bool)
    return spread(everywhere), max(spread(y == k) for k in y.unique())


def macro_f1(answers: Tensor, y: Tensor) -> float:
    """Mean over the classes that occur of the harmonic mean of precision and recall."""
    classes = torch.cat([answers, y]).unique()
    hit = ((answers == y)[:, None] & (y[:, None] == classes)).sum(0).double()
    both = (answers[:, None] == classes).sum(0) + (y[:, None] == classes).sum(0)
    return float((2 * hit / both).mean())
