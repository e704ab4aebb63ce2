"""The log of a lifetime of learning, and what it says of keeping and transfer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor

Form = Literal["contrast", "ratio"]
Pair = tuple[str, str]


class Block(NamedTuple):
    """A stretch of a lifetime: one task learned, or one task tested without learning.

    Args:
        kind: which.
        task: name of the task.
        performance: `(n,)` after each experience; not negative, in one range for all tasks.
    """

    kind: Literal["train", "test"]
    task: str
    performance: Tensor

    @property
    def level(self) -> float:
        """Mean performance."""
        return float(self.performance.double().mean())


def maintenance(
    log: Sequence[Block], reference: Literal["test", "train"] = "test"
) -> dict[str, float]:
    """Change of each task's performance since it was last learned; negative: forgetting.

    Later tests are held against the first test after the latest training block of the task, or
    against the last tenth of that block.

    Args:
        log: blocks in the order of the lifetime.
        reference: the first test after learning, or the end of learning.
    """
    found: dict[str, list[float]] = defaultdict(list)
    level: dict[str, float | None] = {}
    for block in log:
        if block.kind == "train":
            tail = block.performance[-max(1, len(block.performance) // 10) :]
            level[block.task] = None if reference == "test" else float(tail.double().mean())
        elif block.task in level:
            known = level[block.task]
            if known is None:
                level[block.task] = block.level
            else:
                found[block.task].append(block.level - known)
    return {task: sum(v) / len(v) for task, v in found.items()}


def transfer(
    log: Sequence[Block], *, backward: bool = False, form: Form = "contrast"
) -> dict[Pair, float]:
    """What learning one task does to another: tests just before and just after it.

    Forward if the other task has not been learned yet, backward if it has. `contrast` is
    (after - before) / (after + before), 0 for none; `ratio` after / before, 1 for none.

    Args:
        log: blocks in the order of the lifetime.
        backward: to tasks learned before, instead of tasks to come.
        form: of the comparison.
    """
    found: dict[Pair, list[float]] = defaultdict(list)
    learned: set[str] = set()
    latest: dict[str, float] = {}
    for place, block in enumerate(log):
        if block.kind == "test":
            latest[block.task] = block.level
            continue
        after: dict[str, float] = {}
        for later in log[place + 1 :]:
            if later.kind == "train":
                break
            after.setdefault(later.task, later.level)
        for task, value in after.items():
            if task != block.task and task in latest and (task in learned) == backward:
                found[block.task, task].append(_compared(latest[task], value, form))
        learned.add(block.task)
    return {pair: sum(v) / len(v) for pair, v in found.items()}


def _compared(before: float, after: float, form: Form) -> float:
    if form == "contrast":
        return (after - before) / (after + before) if after + before else 0.0
    return after / before if before else float("nan")


def curves(log: Sequence[Block]) -> dict[str, list[Tensor]]:
    """Each task's learning curves, one for every block in which it was learned."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    for block in log:
        if block.kind == "train":
            found[block.task].append(block.performance.double())
    return found
