"""One step on the cross-entropy against one on the margin: does the first miss what is there?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.goal import Untargeted, logits
from holdfast.core.inputs import one_tensor, with_slope
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.run.reading import average, proportion

TOLERATED = 0.05  # accuracy that the step on the cross-entropy may leave more than the other


@dataclass(frozen=True, eq=False)
class MaskingGap:
    """Rows that stand against one step, and how large the logits are.

    Args:
        entropy: `(B,)` bool, right after a step along the sign of the cross-entropy's slope.
        margin: `(B,)` bool, right after a step along the sign of the margin's slope.
        top: `(B,)` the largest logit above the mean one, without a change.
        threat: the step in the common grammar.
        alpha: of the intervals.
    """

    entropy: Tensor
    margin: Tensor
    top: Tensor
    threat: str
    alpha: float

    @property
    def gap(self) -> float:
        """How much accuracy the cross-entropy hides; above 0.05 the slopes are masked."""
        return float(self.entropy.double().mean() - self.margin.double().mean())

    @property
    def masked(self) -> bool:
        """Whether the gap is more than 5 points."""
        return len(self.entropy) > 0 and self.gap > TOLERATED

    def readings(self) -> tuple[Reading, ...]:
        """Accuracy under both steps, and the mean size of the logits."""
        flags = (f"the cross-entropy hides {self.gap:.1%} of accuracy",) if self.masked else ()
        n, name = len(self.entropy), "masking"
        if not n:
            nothing = {"value": float("nan"), "low": 0.0, "high": 1.0, "n": 0}
            return (Reading(name=f"{name}.entropy", **nothing),)  # type: ignore[arg-type]
        both = [
            proportion(f"{name}.{word}", int(rows.sum()), n, bound="upper", threat=self.threat,
                       alpha=self.alpha, flags=more)
            for word, rows, more in (("entropy", self.entropy, flags), ("margin", self.margin, ()))
        ]  # fmt: skip
        size = average(f"{name}.logit", self.top, unit="nats", better="neither", alpha=self.alpha)
        return (*both, size)


@register("measure", cites="fgsm-cw-distillation-report")
def masking_gap(
    model: Model, batches: Batches, *, radius: float = 0.1, alpha: float = 0.05
) -> MaskingGap:
    """Accuracy under one step along the cross-entropy's slope and under one along the margin's.

    Defensive distillation, and anything else that makes logits large, lets the cross-entropy of
    a right answer round to zero: its slope is zero, the step does not move and the row seems
    robust. The margin has no such scale. Where the first step leaves more than 5 points more
    accuracy, the robustness is masking.

    Args:
        model: inputs in [0, 1] -> logits first.
        batches: inputs and labels; rows without a label are left out.
        radius: of the step, in the maximum norm.
        alpha: intervals have coverage 1 - alpha.

    Cost: three forwards and two backwards per row.

    Raises:
        ConfigError: for a negative radius.
        Unsupported: for inputs that are no tensor, or if no gradient reaches them.
    """
    inside("[0, inf)", "masking_gap", radius=radius)
    whole = one_tensor(batches.x, "masking_gap")
    known = batches.y != UNLABELLED
    x, y = whole[known].detach(), batches.y[known]
    goal = Untargeted(y)
    if not len(y):
        nothing = torch.zeros(0)
        return MaskingGap(nothing > 0, nothing > 0, nothing, f"linf:{radius:g}", alpha)
    with quiet(model), torch.enable_grad():
        moved = x.clone().requires_grad_()
        z = logits(model(moved))
        with_slope(z, "masking_gap")
        heights = F.cross_entropy(z, y, reduction="sum"), goal(z).sum()
        slopes = [torch.autograd.grad(h, moved, retain_graph=True)[0] for h in heights]
    right = []
    with quiet(model), torch.no_grad():
        for slope in slopes:
            at = (x + radius * slope.nan_to_num().sign()).clamp(0, 1)
            right.append(goal(logits(model(at))) < 0)
    top = (z.amax(1) - z.mean(1)).detach()
    return MaskingGap(right[0], right[1], top, f"linf:{radius:g}", alpha)
