"""How long detectors work on features alone, beside passes: it shapes forecasts, never results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import entry_of, resolve
from holdfast.core.kinds import Check
from holdfast.core.quiet import modules_of, quiet
from holdfast.core.records import Subject
from holdfast.run.load import clock
from holdfast.run.speed import typical

SIDE, TRIES = 256, 5  # of the matrices whose product is timed

# Products of two numbers, of d features, n trusted rows and m rows that are told apart: a
# covariance, its factor and the inverse of that or its eigenvectors, and the rows turned by them.
PRODUCTS: Mapping[str, Callable[[float, float, float], float]] = {
    "detector:mahalanobis": lambda d, n, m: d * d * (n + m + 2 * d / 3),
    "detector:vim": lambda d, n, m: d * d * (2 * n + m + 5 * d),
    "detector:knn": lambda d, n, m: d * n * m,
}


class Dense:
    """Seconds that the detectors of a check work on features, which may be thousands a row.

    A matrix of features by features takes longer than all passes of a small model whose last
    layer is wide, and nothing else tells so beforehand.

    Args:
        subject: whose model and trusted rows.
    """

    def __init__(self, subject: Subject) -> None:
        self.features = wide(subject)
        self.known = 0 if subject.trusted is None else len(subject.trusted)
        self.product = rate() if self.features else 0.0

    def seconds(self, check: Check, passes: float) -> float:
        """Seconds beside the passes of a check.

        Args:
            check: with its detectors, if it has any.
            passes: of all detectors together, one for each row that is told apart.
        """
        parts = getattr(check, "detectors", ())
        return sum(self._one(part, passes / len(parts)) for part in parts) * self.product

    def _one(self, part: Any, rows: float) -> float:
        detector = resolve(part)
        entry = entry_of(detector) or entry_of(type(detector))
        count = PRODUCTS.get(entry.key if entry else "")
        return 0.0 if count is None else count(float(self.features), float(self.known), rows)


def wide(subject: Subject) -> int:
    """Numbers of a row that go into the last linear layer; 0 where none is called.

    Cost: one forward of one row.
    """
    seen: list[int] = []

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(int(given[0].shape[-1]))

    model, x = subject.model, getattr(subject.batches, "x", None)
    if model is None or not isinstance(x, Tensor) or not len(x):
        return 0
    with quiet(model), torch.no_grad(), suppress(Exception):  # a check will say it
        for part in (p for top in modules_of(model) for p in top.modules()):
            if isinstance(part, nn.Linear):
                part.register_forward_pre_hook(before)  # until the block ends
        model(x[:1])
    return seen[-1] if seen else 0


def rate() -> float:
    """Seconds of one product of two numbers among those of two matrices."""
    one = torch.ones(SIDE, SIDE, dtype=torch.float64)
    took = []
    for _ in range(TRIES):
        start = clock()
        one @ one
        took.append(clock() - start)
    return max(typical(took), 0.0) / SIDE**3
