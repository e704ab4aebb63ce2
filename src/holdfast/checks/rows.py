"""Which rows a check looks at."""

from __future__ import annotations

import torch

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.records import Subject


def sample(subject: Subject, limit: int) -> Batches:
    """At most `limit` rows of the subject, drawn once from its seed, in their own order.

    Every check of an audit that asks for the same limit gets the same rows.

    Raises:
        Unsupported: if the subject has no rows.
    """
    if subject.batches is None or not len(subject.batches):
        raise Unsupported("there are no rows to measure on", fix="Give data with --data.")
    n = len(subject.batches)
    if n <= limit:
        return subject.batches
    order = torch.randperm(n, generator=Dice.of(0, subject.seed, "rows").generator("sample"))
    return subject.batches.take(order[:limit].sort().values)
