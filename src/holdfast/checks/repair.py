"""From the signs of a masked model to a number that can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from holdfast.checks.differences import Estimated
from holdfast.checks.local import local
from holdfast.checks.signs import AGAIN, SelfCheck
from holdfast.checks.views import Evaluated, Inner, LogOdds, Mean, Snapped
from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.threats.shared import Shared

REPEATS, DRAWS = 64, 24  # answers averaged by the judge of a random model, and by its attacks
JITTER = 0.3  # deviation of the points that slopes are averaged over, in those of a random change
GRIDS = (255, 127, 100, 63, 31, 16, 15, 7)  # levels on which unchanged inputs may lie
ROUGH = {
    "slopes keep their promise", "margins do not jump", "slopes lead up", "queries find no more",
    "answers are steady",
}  # fmt: skip
OFF_GRID = {"answers are finite", "slopes exist", "answers are steady"}


@dataclass(frozen=True, eq=False)
class Repaired:
    """How a model with signs of masking is to be attacked and judged.

    Args:
        judge: whose answer counts: the model itself; in evaluation mode, if it was left in
            training mode; the mean over seeded repeats, if answers differ from call to call.
        threat: the threat, in the unit of the inputs.
        views: names and views that give slopes; a change found on one is tried on the judge.
        levels: of the grid on which unchanged inputs lie, where answers differ off it; else 0.
        flags: what was found, and what was done about it.
        error: by how much a mean over the draws of an attack is off; it goes so far beyond the
            decision, lest a lucky draw pass for a success.
    """

    judge: Model
    threat: Threat
    views: tuple[tuple[str, Model], ...] = ()
    levels: int = 0
    flags: tuple[str, ...] = ()
    error: float = 0.0

    @property
    def says(self) -> str:
        """What was done, in one sentence."""
        done = [f"slopes from {', '.join(name for name, _ in self.views)}"] if self.views else []
        if isinstance(self.judge, Mean):
            done.append(f"judged by the mean of {self.judge.repeats} answers")
        elif isinstance(self.judge, Evaluated):
            done.append("measured in evaluation mode")
        return "; ".join(done)


def repaired(
    model: Model, signs: Sequence[SelfCheck], x: Tensor, threat: Threat, dice: Dice
) -> Repaired:
    """Choose judge, unit and views from the signs that failed.

    Nothing is assumed about the wrapper. Slopes come from the innermost module that turns inputs
    into logits, if the model is made of modules; from log-probabilities in float64, if outputs
    are probabilities; from averages over nearby points, if they jump or break their promise; and
    from differences of outputs, if no module can be reached. Each view that proves useless costs
    time, never truth: what it finds is tried on the judge.

    Args:
        model: the function under test.
        signs: all self-checks.
        x: some rows, to see the unit and the grid of the inputs.
        threat: of the audit.
        dice: of these rows.
    """
    failed = {s.name: s for s in signs if not s.passed}
    if not failed:
        return Repaired(model, threat)
    flags = tuple(f"{s.name}: {s.says}" for s in failed.values())
    judge: Any = model
    if "in evaluation mode" in failed:
        judge = Evaluated(model)
    threat = in_unit(x, threat) if "inputs in range" in failed else threat
    with quiet(model), torch.no_grad():
        few = x[:8]
        first, *again = (logits(judge(few)) for _ in range(AGAIN))
        inner = Inner(judge)
        reach = inner.reach(few)
    size = 1e-4 * first.abs().nan_to_num(posinf=0.0).amax()
    random = any(bool(((first - z).abs() > size).any()) for z in again)
    views = list(_views(judge, inner if reach else None, set(failed), x, threat, dice))
    levels = _grid(x) if OFF_GRID & set(failed) and not random else 0
    if levels:
        snapped = Snapped(inner if reach else judge, levels)
        spread = _spread(x, threat, dice)
        seen: Model = snapped if reach else Estimated(snapped, spread)
        views.append((f"the grid of {levels}", seen))
    error = 0.0
    if random:
        views = [(f"mean of {name}", Mean(view, DRAWS)) for name, view in views]
        views.append(("mean answer", Mean(judge, DRAWS)))
        rough, judge = views[-1][1], Mean(judge, REPEATS, seed=1 << 20)
        with quiet(model), torch.no_grad():
            error = float((logits(rough(few)) - logits(judge(few))).abs().mean())
    usable = tuple((name, view) for name, view in views if _answers(view, few))
    return Repaired(judge, threat, usable, levels, flags, error)


def _views(
    judge: Model, inner: Inner | None, failed: set[str], x: Tensor, threat: Threat, dice: Dice
) -> Iterator[tuple[str, Model]]:
    """Where slopes may come from, cheapest first."""
    spread = _spread(x, threat, dice)
    if inner is not None:
        yield "inner logits", inner
        if "slopes exist" in failed and inner.changed(x[:8]):
            yield "inner net alone", Inner(judge, alone=True)
    if "outputs are logits" in failed:
        yield "log-probabilities", LogOdds(judge)
    if "answers repeat" in failed:  # their mean is smooth already
        return
    if ROUGH & failed and "slopes exist" not in failed:
        yield "nearby points", Mean(judge, DRAWS, jitter=JITTER * spread)
    if (ROUGH | {"slopes exist"}) & failed:
        yield "differences", Estimated(judge, spread)


def _spread(x: Tensor, threat: Threat, dice: Dice) -> float:
    """Deviation of a random change."""
    change = local(threat, x, dice).sample(x, dice.spawn("spread"))
    return max(float(change.double().square().mean().sqrt()), 1e-6)


def _answers(view: Model, x: Tensor) -> bool:
    """Whether a view can be called; a wrapper may insist on a type or a mode."""
    try:
        with quiet(view), torch.no_grad():
            return logits(view(x)).dim() == 2
    except (RuntimeError, TypeError, ValueError):
        return False


def in_unit(x: Tensor, threat: Threat) -> Threat:
    """The threat in the unit of the inputs, where its radius is one of its own range.

    Bytes stretch [0, 1] to [0, 255]; inputs around zero to a range that is symmetric. A radius
    wider than its range was already meant in the unit of the inputs: only the range changes.
    """
    ball: Any = threat
    low, high = float(x.min()), float(x.max())
    if high > 2 and low >= 0 and bool((x == x.round()).all()):
        least, most = 0.0, 255.0
    elif low < 0 and max(-low, high) <= 1 + 1e-3:
        least, most = -1.0, 1.0
    else:
        least, most = min(low, 0.0), max(high, 1.0)
    width = threat.high - threat.low
    factor = (most - least) / width if 0 < getattr(ball, "radius", 0) <= width else 1.0
    if isinstance(threat, Shared):
        return replace(threat, threat=in_unit(x, resolve(threat.threat)))
    wider = {"radius": ball.radius * factor} if hasattr(ball, "radius") else {}
    try:
        return replace(ball, low=least, high=most, **wider)  # type: ignore[no-any-return]
    except TypeError:
        return threat


def _grid(x: Tensor) -> int:
    """The coarsest usual grid on which all inputs lie, 0 if there is none."""
    for levels in sorted(GRIDS):
        at = x.double() * levels
        if bool(((at - at.round()).abs() < 1e-3).all()):
            return levels
    return 0
