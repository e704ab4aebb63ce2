"""Looks for inputs of a box that lead into an unsafe set: samples, then projected ascents."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.certify.properties.property import Case
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Model

ROWS = 512  # numbers of samples and of ascents at once
MANY, FEWER = 1000, 128  # rows at once where there are more inputs than that
STEPS = 60
WIDE, NARROW = 0.5, 0.002  # first and last step, in half widths of the box


@dataclass(frozen=True, eq=False)
class Target:
    """All alternatives of a case side by side.

    Args:
        rows: `(R, m)` factors of the outputs, each row scaled to length 1.
        own: `(R, n)` factors of the inputs.
        limits: `(R,)` right-hand sides, scaled alike.
        owner: `(R,)` which alternative a row belongs to.
        count: how many alternatives.
    """

    rows: Tensor
    own: Tensor
    limits: Tensor
    owner: Tensor
    count: int

    def slack(self, x: Tensor, y: Tensor) -> Tensor:
        """`(B, R)`: by how much each inequality holds."""
        used = y @ self.rows.T
        if self.own.any():
            used = used + x @ self.own.T
        return self.limits - used

    def margins(self, slack: Tensor) -> Tensor:
        """`(B, count)`: the least slack of each alternative; not negative: it holds."""
        found = slack.new_full((len(slack), self.count), torch.inf)
        return found.scatter_reduce(1, self.owner.expand_as(slack), slack, "amin")

    def violations(self, slack: Tensor) -> Tensor:
        """`(B, count)`: minus the sum of what is violated, which sees every inequality."""
        found = slack.new_zeros(len(slack), self.count)
        return found.scatter_add(1, self.owner.expand_as(slack), slack.clamp(max=0))


def target_of(case: Case, outputs: int, dtype: torch.dtype) -> Target:
    """The alternatives of a case as one target."""
    rows, own, limits, owner = [], [], [], []
    inputs = len(case.low)
    for i, way in enumerate(case.unsafe):
        e = torch.zeros(len(way.limits), inputs) if way.inputs is None else way.inputs
        size = (way.outputs.square().sum(1) + e.double().square().sum(1)).sqrt()[:, None]
        rows.append(way.outputs / size)
        own.append(e / size)
        limits.append(way.limits / size[:, 0])
        owner.append(torch.full((len(way.limits),), i))
    return Target(
        torch.cat(rows).reshape(-1, outputs).to(dtype), torch.cat(own).to(dtype),
        torch.cat(limits).to(dtype), torch.cat(owner), len(case.unsafe),
    )  # fmt: skip


def falsify(
    model: Model,
    case: Case,
    shape: Sequence[int],
    dtype: torch.dtype,
    accepts: Callable[[Tensor], bool],
    *,
    dice: Dice,
    deadline: float,
    rounds: int = 4,
) -> bool:
    """Look for an unsafe input of a case.

    Samples first: the centre, random corners and random points. Then ascents by signs of the
    gradient with shrinking steps, from the best samples of every alternative and from new
    points; every second ascent climbs the least slack, the others the sum of all violations.

    Args:
        model: inputs -> outputs, rows first.
        case: the box and its alternatives.
        shape: of one row of the model's input.
        dtype: of the model's input.
        accepts: asked about each candidate `(n,)` in float64, the best first; what it accepts
            is the answer.
        dice: of all draws.
        deadline: as told by `time.monotonic`.
        rounds: of ascents.

    Returns:
        Whether `accepts` took a candidate.

    Cost: a forward of 512 rows (128 with more than 1000 inputs), and per round 60 forwards and
    backwards of half as many.
    """
    low, high = case.low.to(dtype), case.high.to(dtype)
    with torch.no_grad():
        outputs = logits(model(((low + high) / 2).reshape(1, *shape))).numel()
        goal = target_of(case, outputs, dtype)
        draws = dice.generator("falsify")
        x = _samples(low, high, ROWS if len(low) <= MANY else FEWER, draws)
        found = goal.margins(goal.slack(x, _outputs(model, x, shape)))
    if _accepted(x, found, accepts):
        return True
    for round_ in range(rounds):
        if time.monotonic() > deadline:
            return False
        start, aim = _starts(x, found, low, high, draws, fresh=round_ > 0)
        ends, margin = _ascend(model, goal, start, aim, low, high, shape, deadline)
        if _accepted(ends, margin[:, None], accepts):
            return True
    return False


def _outputs(model: Model, x: Tensor, shape: Sequence[int]) -> Tensor:
    return logits(model(x.reshape(-1, *shape))).flatten(1)


def _samples(low: Tensor, high: Tensor, rows: int, draws: torch.Generator) -> Tensor:
    share = torch.rand(rows, len(low), generator=draws, dtype=low.dtype)
    share[: rows // 4] = share[: rows // 4].round()
    share[0] = 0.5
    return (low + share * (high - low)).clamp(low, high)


def _starts(
    x: Tensor, found: Tensor, low: Tensor, high: Tensor, draws: torch.Generator, *, fresh: bool
) -> tuple[Tensor, Tensor]:
    """Where ascents start and which alternative each aims at."""
    count = found.shape[1]
    each = max(1, len(x) // 2 // count)
    aim = torch.arange(count).repeat_interleave(each)
    if fresh:
        share = torch.rand(len(aim), len(low), generator=draws, dtype=low.dtype)
        return (low + share * (high - low)).clamp(low, high), aim
    best = found.nan_to_num(-torch.inf).topk(min(each, len(x)), dim=0).indices
    return x[best.T.reshape(-1)], aim[: best.numel()]


def _ascend(
    model: Model, goal: Target, x: Tensor, aim: Tensor, low: Tensor, high: Tensor,
    shape: Sequence[int], deadline: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The best point of each ascent and its margin."""
    half = (high - low) / 2
    best, record = x, x.new_full((len(x),), -torch.inf)
    odd = torch.arange(len(x)) % 2 == 1
    for step in range(STEPS):
        x = x.detach().requires_grad_()
        slack = goal.slack(x, _outputs(model, x, shape))
        margin = goal.margins(slack).gather(1, aim[:, None])[:, 0]
        spread = goal.violations(slack).gather(1, aim[:, None])[:, 0]
        climbed = torch.where(odd & (spread < 0), spread, margin)
        try:
            (gradient,) = torch.autograd.grad(climbed.nan_to_num(0.0).sum(), x)
        except RuntimeError:  # an operation without a gradient: samples are all there is
            return best, margin.detach()
        better = margin.detach() > record
        record = torch.where(better, margin.detach(), record)
        best = torch.where(better[:, None], x.detach(), best)
        if bool((record > 0).any()) or time.monotonic() > deadline:
            break
        length = WIDE * (NARROW / WIDE) ** (step / (STEPS - 1))
        x = (x.detach() + length * half * gradient.sign()).clamp(low, high)
    return best, record


def _accepted(x: Tensor, margins: Tensor, accepts: Callable[[Tensor], bool]) -> bool:
    """Whether one of the ten best candidates is accepted."""
    best = margins.amax(1).nan_to_num(-torch.inf)
    order = best.argsort(descending=True)[:10]
    return any(accepts(x[i].double()) for i in order if bool(best[i] >= 0))
