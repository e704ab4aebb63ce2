"""A model that may decline: it stands by an answer only where a score trusts the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ConfigError
from holdfast.core.goal import logits
from holdfast.core.kinds import Model, Score
from holdfast.core.quiet import quiet
from holdfast.core.records import Verdict
from holdfast.ops.batch import Inputs
from holdfast.ops.conformal import conformal_rank, conformal_threshold


@dataclass(frozen=True, eq=False)
class Guard:
    """A model, a score of trust and the threshold above which the answer is withheld.

    Args:
        model: inputs -> logits first.
        score: inputs -> `(B,)`, larger means trust it less.
        threshold: largest score that is accepted.
        alarms: rate of false alarms that the threshold was made for.
        doubt: largest one minus probability that a class in the set of answers may have; None
            gives no set.
        sets: inputs -> `(B, K)` bool, the set of answers where another rule than `doubt` makes it
            (`detector:conformal`, `detector:robust-conformal`).
    """

    model: Model
    score: Score
    threshold: float
    alarms: float
    doubt: float | None = None
    sets: Callable[[Inputs], Tensor] | None = None

    @classmethod
    def calibrate(
        cls,
        model: Model,
        score: Score,
        trusted: Batches,
        *,
        alarms: float = 0.05,
        misses: float | None = None,
        sets: Callable[[Inputs], Tensor] | None = None,
    ) -> Guard:
        """Choose the threshold so that trusted inputs are rarely turned away.

        The threshold is the k-th smallest of n scores, k = ceil((n + 1) (1 - alarms)). A new row
        that is exchangeable with the trusted ones is equally likely to take each rank among
        them, so it lies above the threshold with probability at most `alarms`. This holds
        for any score and any model, if the score was not fitted on these very rows.

        Args:
            model: inputs -> logits first.
            score: larger means trust it less.
            trusted: rows that neither the model nor the score has learnt from.
            alarms: admissible rate of false alarms, in (0, 1).
            misses: if given, the verdict also holds a set of classes that leaves out the true
                one with probability at most `misses` (needs labels).
            sets: calibrated sets of answers by another rule, instead of `misses`.

        Raises:
            ConfigError: for a rate outside (0, 1), too few rows to keep it, or two rules for sets.

        Cost: one score per trusted row, one forward more for the set.
        """
        if misses is not None and sets is not None:
            raise ConfigError("Guard: both misses and sets say what the sets are", fix="Give one.")
        with quiet(model, score), torch.no_grad():
            scores = [score(b.x).double().flatten() for b in trusted]
        threshold = _quantile(scores, alarms, "alarms")
        doubt = None
        if misses is not None:
            doubt = _quantile(_doubts(model, trusted), misses, "misses")
        return cls(model, score, threshold, alarms, doubt, sets)

    def __call__(self, x: Inputs) -> Verdict:
        """Outputs, `(B,)` whether they are stood by, and `(B, K)` the set of answers if asked for.

        A row with a non-finite output or score is never accepted.
        """
        with quiet(self.model, self.score), torch.no_grad():
            outputs = self.model(x)
            scores = self.score(x)
        z = logits(outputs)
        finite = z.flatten(1).isfinite().all(1)
        accepted = finite & (scores <= self.threshold).to(finite.device)
        chosen = None
        if self.doubt is not None:
            chosen = 1 - z.double().softmax(-1) <= self.doubt
            chosen = chosen | ~finite.reshape(-1, *[1] * (z.dim() - 1))
        elif self.sets is not None:
            chosen = self.sets(x)
        return Verdict(outputs, accepted, chosen)


def _doubts(model: Model, trusted: Batches) -> list[Tensor]:
    """One minus the probability of the true class; unlabelled rows are left out."""
    found = []
    with quiet(model), torch.no_grad():
        for batch in trusted:
            p = logits(model(batch.x)).double().softmax(-1)
            known = batch.y.to(p.device) != UNLABELLED
            own = p[known].gather(-1, batch.y.to(p.device)[known][..., None]).flatten()
            found.append((1 - own).nan_to_num(1.0))
    return found


def _quantile(parts: list[Tensor], rate: float, name: str) -> float:
    """The split-conformal quantile: never between two scores, never of too few."""
    if not 0 < rate < 1:
        raise ConfigError(f"Guard.{name} must lie in (0, 1), got {rate}", fix="Use 0.05.")
    scores = torch.cat(parts) if parts else torch.empty(0)
    if conformal_rank(len(scores), rate) > len(scores):
        raise ConfigError(
            f"Guard: {len(scores)} trusted rows cannot keep {name} at {rate:g}",
            fix=f"Give at least {ceil(1 / rate - 1 - 1e-9)} rows, or allow a higher rate.",
        )
    return conformal_threshold(scores, rate)
