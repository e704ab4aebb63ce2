"""Can the loss tell rows that the model was trained on from others?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.kinds import Check, Model
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.ops.ranking import auroc, auroc_interval
from holdfast.run.forward import labelled, outputs
from holdfast.run.reading import proportion


@register("check", cites="dl-security-survey", says="Membership inference by a threshold on loss.")
@settings
class Membership(Check):
    """Membership inference: a threshold on the loss parts reference rows from measured ones.

    A model that remembers its training rows has smaller losses there. The numbers speak of
    privacy where the reference rows are those that the model was trained on; otherwise they say
    how alike the two sets are to it. Cost: one forward per row of both.

    Args:
        limit: rows of each set at most.
        false: share of measured rows that the stricter threshold may take for members.
        tolerated: a lower interval end above it is a warning.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Does the loss betray which rows it was trained on?"
    section: ClassVar = "privacy"
    needs: ClassVar = ("model", "batches", "trusted")

    limit: Count = 2000
    false: Inner = 0.01
    tolerated: Inner = 0.55
    alpha: Inner = 0.05

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or subject.batches is None or subject.trusted is None:
            return
        seen, new = (
            losses(subject.model, part.take(slice(0, self.limit)))
            for part in (subject.trusted, subject.batches)
        )
        if not len(seen) or not len(new):
            raise Unsupported(
                f"membership needs labelled rows in both sets, got {len(seen)} and {len(new)}",
                fix="Give labels y on both sides; -100 stands for no label.",
            )
        low, high = auroc_interval(seen, new, alpha=self.alpha)
        area = Reading(
            name="privacy.membership", value=auroc(seen, new), low=low, high=high,
            n=len(seen) + len(new), unit="probability", better="lower", seed=subject.seed,
        )  # fmt: skip
        edge = new.sort().values[int(self.false * len(new))]
        caught = proportion(
            "privacy.members", int((seen < edge).sum()), len(seen), bound="lower",
            better="lower", seed=subject.seed, alpha=self.alpha,
        )  # fmt: skip
        leaks = area.low > self.tolerated
        yield Finding(
            severity=Severity.WARNING if leaks else Severity.INFO,
            says=f"A reference row has the smaller loss in {area.value:.1%} of pairs with a "
            f"measured one; with {self.false:.0%} false alarms {caught.value:.1%} are told.",
            readings=(area, caught),
            advice="Train for fewer epochs, with more regularisation or private gradients."
            if leaks
            else "",
        )


def losses(model: Model, batches: Batches) -> Tensor:
    """`(n,)` cross-entropy of labelled rows, float64; a non-finite one is the largest there is."""
    known = labelled(batches)
    z = outputs(model, batches.x)[known].double()
    found = F.cross_entropy(z, batches.y[known], reduction="none")
    return torch.nan_to_num(found, nan=1e30, posinf=1e30)
