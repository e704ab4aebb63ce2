"""What an edit of the inputs does to the answers: each row beside itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ShapeError
from holdfast.core.goal import Outputs, logits
from holdfast.core.records import Reading
from holdfast.measures.outputs.over_time import mcnemar
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class Paired:
    """Answers before and after an edit.

    Args:
        failed: `(N,)` bool, rows whose answer does not do what it should.
        before: `(N,)` bool, right before the edit.
        after: `(N,)` bool, right after it.
        answers: `(N, 2)` the answers themselves.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    failed: Tensor
    before: Tensor
    after: Tensor
    answers: Tensor
    name: str
    alpha: float
    seed: int

    @property
    def unrobustness(self) -> Reading:
        """Share of rows whose answer does not do what it should; times 100 the published U."""
        return proportion(f"{self.name}.unrobust", int(self.failed.sum()), len(self.failed),
                          better="lower", alpha=self.alpha, seed=self.seed)  # fmt: skip

    @property
    def invariance(self) -> float:
        """Share of rows with the same answer before and after."""
        same = self.answers[:, 0] == self.answers[:, 1]
        return float(same.double().mean()) if len(same) else float("nan")

    @property
    def p(self) -> float:
        """Of McNemar's test that the edit costs nothing."""
        return mcnemar(self.before, self.after)

    def readings(self) -> tuple[Reading, ...]:
        """Unrobustness, and the accuracy that is lost."""
        if not len(self.failed):
            return (self.unrobustness,)
        lost = self.before.double() - self.after.double()
        drop = average(f"{self.name}.drop", lost, better="lower", alpha=self.alpha,
                       seed=self.seed)  # fmt: skip
        return (self.unrobustness, drop)


@register("measure", cites="fluke", says="Share of answers that an edit turns, or fails to turn.")
def unrobustness(
    before: Outputs,
    after: Outputs,
    y: Tensor,
    *,
    wanted: Tensor | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "edit",
) -> Paired:
    """Compares the answer to every text with the answer to its edited version.

    Where the edit keeps the right answer, an answer that changes fails, right or wrong. Where it
    changes the right answer, one that stays fails, and so does one that was right and becomes
    none of the wanted. A constant model therefore has 0 on the one and 1 on the other.

    Args:
        before: logits `(N, K)` of the originals.
        after: logits `(N, K)` of the edited rows, in the same order.
        y: `(N,)` labels of the originals.
        wanted: `(N,)` labels after the edit; unless given the edit keeps them.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the bootstrap.
        name: prefix of the readings.

    Raises:
        ShapeError: if the two do not have the same rows.
    """
    a, b = (logits(z).detach() for z in (before, after))
    if a.shape != b.shape or a.dim() != 2 or y.shape != a.shape[:1]:
        raise ShapeError(
            f"{name}: needs logits (B, K) before and after and labels (B,), got "
            f"{tuple(a.shape)}, {tuple(b.shape)} and {tuple(y.shape)}",
            fix="Give the outputs for the same rows before and after the edit.",
        )
    said = torch.stack([a.argmax(1), b.argmax(1)], 1)
    own = y if wanted is None else wanted
    right, still = said[:, 0] == y.to(said), said[:, 1] == own.to(said)
    turned = said[:, 0] != said[:, 1]
    failed = turned if wanted is None else ~turned | (right & ~still)
    finite = a.isfinite().all(1) & b.isfinite().all(1)
    return Paired((failed | ~finite).cpu(), (right & finite).cpu(), (still & finite).cpu(),
                  said.cpu(), name, alpha, seed)  # fmt: skip
