"""Drawn geometric edits, where test digits are turned and moved."""

from __future__ import annotations

from functools import cache, partial
from statistics import mean

from torch import Tensor, nn

from holdfast.claims.augmented import aside, learned, turned
from holdfast.claims.fitted import accuracy
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.kinds import Hook, Shift
from holdfast.hooks.augment import Augment
from holdfast.shifts.randaugment import randaugment, trivialaugment

ROWS = 200
GEOMETRIC = partial(randaugment, menu="geometric")


def _hook(shift: Shift, severity: float = 0.7) -> Hook:
    return Augment(shift=shift, amount=1.0, low=severity, high=severity)


def _frozen(batch: Batch, severity: float, dice: Dice) -> Batch:
    """Bug: every step draws the same edits for a row."""
    return GEOMETRIC(batch, severity, Dice(0, batch.index))


HOOKS: dict[str, tuple[Hook, ...]] = {
    "": (_hook(GEOMETRIC),), "plain": (),
    "trivial": (_hook(partial(trivialaugment, menu="geometric"), 1.0),),
    "no-edits": (_hook(partial(randaugment, count=0)),), "same-draws": (_hook(_frozen),),
}  # fmt: skip


@cache
def _net(seed: int, kind: str) -> nn.Module:
    return learned(seed, kind="convolutional", hooks=HOOKS[kind], rows=ROWS)


def _shifted(seed: int, kind: str) -> float:
    """Mean accuracy on digits turned by 20 degrees both ways and moved by a pixel and a half."""
    test, model = digits(seed)[1], _net(seed, kind)
    x: Tensor = test.x  # type: ignore[assignment]
    seen = [turned(x, 20), turned(x, -20), aside(x, 1.5), aside(x, -1.5), aside(x, 0, 1.5)]
    return mean(accuracy(model, rows, test.y) for rows in seen)


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy on turned and moved digits with drawn edits and without."""
    left, right = _shifted(seed, mutant), _shifted(seed, "plain")
    trivial = 1.0 if mutant else _shifted(seed, "trivial")
    return Trial(left, right, min(left, trivial) > right + 0.05)


CLAIM = Claim(
    paper="randaugment",
    methods=("shift:randaugment", "shift:trivialaugment", "hook:augment", "recipe:randaugment"),
    says="Learned from 200 digits under two drawn geometric edits of magnitude 0.7, or one of a "
    "drawn magnitude, a convolutional net is more than five points more accurate on turned and "
    "moved digits than one learned plainly.",
    left="mean accuracy on turned and moved digits with two edits",
    right="without",
    trial=trial,
    seeds=(1, 2, 3),
    mutants=("no-edits", "same-draws"),
    seconds=40,
    quick=False,
)
