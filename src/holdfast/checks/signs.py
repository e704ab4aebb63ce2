"""Signs of masked gradients that need no attack: one look at outputs and slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.checks.slopes import rounding, slopes
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import modules_of, quiet

AGAIN = 8  # times that a few rows, an eighth of all, are asked again
NUDGE = 1e-3  # of a random change: a step so small that an honest answer hardly moves


@dataclass(frozen=True)
class SelfCheck:
    """One sign.

    Args:
        name: in two or three words.
        passed: whether the result looks honest.
        says: what was seen, with the numbers.
        fix: what helps, where it failed.
    """

    name: str
    passed: bool
    says: str
    fix: str = ""


def signs(model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice) -> list[SelfCheck]:
    """Do answers repeat, are they logits of a usable scale, and do they rise anywhere?

    Cost: thirteen forwards and four backwards per row.
    """
    with quiet(model), torch.no_grad():
        none = threat.none(x)
        first, second = (logits(threat.through(model, x, none)) for _ in range(2))
        few = slice(0, max(1, len(x) // AGAIN))
        again = [logits(threat.take(few).through(model, x[few], none[few])) for _ in range(AGAIN)]
        turned = logits(threat.through(model, x.flip(0), none.flip(0))).flip(0)
        far = threat.sample(x, dice.spawn("nudge"))
        small = threat.project(x, NUDGE * far) if far.is_floating_point() else far
        nudged = logits(threat.through(model, x, small))
        there = logits(threat.through(model, x, far))
    found = [
        _evaluated(model),
        _ranged(x, threat),
        _finite(first, nudged, there),
        _repeats(first, second, again),
        _alone(first, turned, max(_gap(a, first[few])[1] for a in [second[few], *again])),
        _unbounded(first),
        _uncut(first),
        _scaled(goal(first).double(), first.dtype),
        _steady(first, goal(first), goal(nudged), goal(there)),
    ]
    if not far.is_floating_point():  # whole numbers: a change has no thousandth part, and no slope
        return found[:-1]
    with quiet(model):
        try:
            return found + [SelfCheck(*s) for s in slopes(model, x, goal, threat, dice)]
        except Unsupported as refused:
            says = f"no gradient: {refused.says}"
            return [*found, SelfCheck("slopes exist", False, says, "slopes straight through")]


def _evaluated(model: Model) -> SelfCheck:
    """Dropout and batch statistics belong to training."""
    parts = [p for m in modules_of(model) for p in m.modules() if p.training]
    live = [p for p in parts if hasattr(p, "running_mean") or type(p).__name__.endswith("Dropout")]
    names = sorted({type(p).__name__ for p in live})
    return SelfCheck(
        "in evaluation mode",
        not live,
        f"{', '.join(names)} in training mode" if live else "nothing is in training mode",
        "model.eval()",
    )


def _ranged(x: Tensor, threat: Threat) -> SelfCheck:
    """A radius means what it says only where the inputs fill the range of the threat."""
    low, high = (float(x.min()), float(x.max())) if x.numel() else (0.0, 0.0)
    slack = 1e-3 * (threat.high - threat.low)
    return SelfCheck(
        "inputs in range",
        low >= threat.low - slack and high <= threat.high + slack,
        f"inputs lie in [{low:.3g}, {high:.3g}], the threat assumes "
        f"[{threat.low:g}, {threat.high:g}]",
        "the radius in the unit of the inputs",
    )


def _finite(*outputs: Tensor) -> SelfCheck:
    """No answer is no robust answer."""
    bad = torch.stack([~z.flatten(1).isfinite().all(1) for z in outputs]).any(0)
    return SelfCheck(
        "answers are finite",
        not bool(bad.any()),
        f"NaN or infinity for {int(bad.sum())} of {len(bad)} rows, unchanged or slightly changed",
        "rows without a finite answer count as broken",
    )


def _repeats(first: Tensor, second: Tensor, again: list[Tensor]) -> SelfCheck:
    """Attacks follow slopes and keep the best change; noise fakes the one and spoils the other.

    All rows are asked twice and a few of them more often: what is drawn once per call from a few
    values may come out alike.
    """
    size, gap = _gap(first, second)
    gap = max([gap, *(_gap(again[0], other)[1] for other in again[1:])])
    return SelfCheck(
        "answers repeat",
        gap <= 1e-4 * max(size, 1e-12),
        f"asked again, outputs differ by up to {gap:.2g} (largest output {size:.2g})",
        "the mean answer over seeded repeats",
    )


def _alone(first: Tensor, turned: Tensor, chance: float) -> SelfCheck:
    """The answer to a row must not depend on the rows beside it."""
    size, gap = _gap(first, turned)
    eps = 100 * torch.finfo(first.dtype).eps  # another order of sums
    fine = gap <= max(1e-3, eps) * max(size, 1e-12) or gap <= 3 * chance
    return SelfCheck(
        "rows answer alone",
        fine,
        f"in another order, outputs of the same rows differ by up to {gap:.2g}",
        "model.eval(), or a batch of one",
    )


def _gap(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The largest output and the largest difference between two sets of them."""
    if not first.numel():
        return 0.0, 0.0
    size = float(first.abs().nan_to_num(posinf=0.0).max())
    return size, float((first - second).abs().nan_to_num().max())


def _unbounded(first: Tensor) -> SelfCheck:
    """Probabilities and sigmoids level off where the model is sure; logits never do."""
    inside = bool(((first >= 0) & (first <= 1)).all())
    ones = inside and bool(((first.sum(1) - 1).abs() <= 1e-3).all())
    kind = "probabilities" if ones else "squeezed into [0, 1]"
    says = f"outputs are {kind}: slopes fade where the model is sure" if inside else "no bound seen"
    return SelfCheck("outputs are logits", not inside, says, "log-probabilities in float64")


def _uncut(first: Tensor) -> SelfCheck:
    """Clipped or saturated outputs of many rows share one largest value."""
    top = first.amax(1)
    same = max((int((top == value).sum()) for value in top.unique()), default=0)
    return SelfCheck(
        "outputs are not cut",
        same <= max(len(top) / 2, 1),
        f"{same} of {len(top)} rows share the same largest output",
        "the logits in front of the cut",
    )


def _scaled(margin: Tensor, kind: torch.dtype) -> SelfCheck:
    """exp(margin), the slope of the cross-entropy, must not round to zero on most rows."""
    ahead = -margin[(margin < 0) & margin.isfinite()]
    least = -math.log(torch.finfo(kind).smallest_normal * torch.finfo(kind).eps)
    middle = float(ahead.median()) if len(ahead) else 0.0
    return SelfCheck(
        "loss has a scale",
        middle <= least,
        f"half of the rows are right by more than {middle:.3g} nats"
        + ("; the cross-entropy rounds to zero there" if middle > least else ""),
        "the margin, or a loss that ignores the scale",
    )


def _steady(first: Tensor, clean: Tensor, nudged: Tensor, there: Tensor) -> SelfCheck:
    """A thousandth of a change must not do a good part of what the whole change does."""
    noise = rounding(first)
    jump, whole = (nudged - clean).abs(), (there - clean).abs()
    jumps = int(((jump > 0.25 * whole) & (jump > noise)).sum())
    return SelfCheck(
        "answers are steady",
        jumps <= max(len(clean) / 4, 1),
        f"a thousandth of a random change moves the margin of {jumps} of {len(clean)} rows by a "
        "quarter of what all of it does, or more",
        "changes on the grid of the inputs",
    )
