"""A few steps of a recipe before it is run, to say what the whole will cost."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError
from holdfast.core.goal import logits
from holdfast.run import ranks
from holdfast.run.loop import Control

if TYPE_CHECKING:
    from holdfast.cli.lesson import Lesson
    from holdfast.cli.school import School

_TRIED = 4  # steps


@dataclass(frozen=True)
class Cost:
    """What one epoch of a recipe takes on this machine.

    Args:
        seconds: of an epoch; 0 where nothing could be timed.
        forwards: passes of each row through the model.
        backwards: ways back.
    """

    seconds: float = 0.0
    forwards: float = 0.0
    backwards: float = 0.0


def trial(made: Lesson, school: School) -> Cost:
    """A few steps on a copy of the model, to say what the whole will cost.

    Raises:
        HoldfastError: what the recipe itself has to say about this model or these rows.
    """
    if not made.watched:
        return Cost()
    size = school.learn.size
    few = school.learn.take(slice(0, _TRIED * size))
    model, seen = deepcopy(school.model), [0, 0]
    handle = model.register_forward_hook(_counting(seen))
    moments = [time.perf_counter()]
    try:
        made.with_epochs(1).recipe(
            model, few, dice=Dice.of(len(few), school.seed, "trial"),
            control=Control(progress=lambda run: moments.append(time.perf_counter())),
        )  # fmt: skip
    except HoldfastError as error:
        if error.code == "E0330":  # a trial has no ramp and no care: the run itself will tell
            return Cost()
        raise
    finally:
        handle.remove()
    steps = -(-len(school.learn) // size)
    there, back = ranks.sum_over_ranks(torch.tensor(seen)).tolist()
    return Cost(steps * _longest(moments), there / len(few), back / len(few))


def _counting(seen: list[int]) -> Any:
    """A hook that counts rows on their way there and back."""

    def count(module: Any, inputs: Any, out: Any) -> None:
        rows = len(inputs[0])
        seen[0] += rows
        z = logits(out)
        if z.requires_grad:

            def back(_: Any) -> None:
                seen[1] += rows

            z.register_hook(back)

    return count


def _longest(moments: list[float]) -> float:
    """The longest step, the first one aside, which also prepares."""
    steps = [b - a for a, b in pairwise(moments)]
    return max(steps[1:] or steps or [0.0])
