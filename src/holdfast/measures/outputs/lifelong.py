"""Learning task after task: what is kept, what is carried over, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.ranges import one_of
from holdfast.core.records import Reading
from holdfast.measures.outputs.curves import efficiency, recovery
from holdfast.measures.outputs.lifetimes import Block, Form, Pair, curves, maintenance, transfer
from holdfast.run.reading import average


@dataclass(frozen=True, eq=False)
class Lifetime:
    """What came of a lifetime.

    Args:
        maintenance: task -> change since it was learned.
        forward: (learned, other) -> transfer to a task to come.
        backward: (learned, other) -> transfer to a task learned before.
        relative: task -> training performance in units of a single-task expert's.
        efficiency: task -> sample efficiency in the same units.
        recovery: task -> how much faster old levels are regained each time.
        alpha: of the intervals.
        seed: of the bootstrap over tasks.
        name: prefix of the readings.
    """

    maintenance: dict[str, float]
    forward: dict[Pair, float]
    backward: dict[Pair, float]
    relative: dict[str, float]
    efficiency: dict[str, float]
    recovery: dict[str, float]
    alpha: float
    seed: int
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """The mean of each over tasks or pairs, where there is any."""
        every: dict[str, Mapping[str, float] | Mapping[Pair, float]] = {
            "maintenance": self.maintenance, "forward": self.forward, "backward": self.backward,
            "relative": self.relative, "efficiency": self.efficiency, "recovery": self.recovery,
        }  # fmt: skip
        found = []
        for word, values in every.items():
            kept = [v for v in values.values() if v == v]  # noqa: PLR0124 - NaN is not itself
            if kept:
                values_of = torch.tensor(kept, dtype=torch.float64)
                found.append(average(f"{self.name}.{word}", values_of, unit="mean over tasks",
                                     alpha=self.alpha, seed=self.seed))  # fmt: skip
        return tuple(found)


@register("measure", cites="lifelong-metrics")
def lifelong(
    log: Sequence[Block],
    *,
    experts: Mapping[str, Tensor] | None = None,
    form: Form = "contrast",
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "lifelong",
) -> Lifetime:
    """Keeping, transfer, and speed of a learner that meets one task after another.

    Performance maintenance is forgetting with its sign turned; forward and backward transfer
    compare tests before and after another task; with learning curves of experts that learn one
    task alone come relative performance and sample efficiency; recovery says whether levels once
    reached are regained faster each time. Names of tasks do not matter.

    Args:
        log: `Block`s in the order of the lifetime.
        experts: task -> learning curve of a learner of this task alone.
        form: of transfer: `contrast` or `ratio`.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the bootstrap over tasks.
        name: prefix of the readings.

    Raises:
        ShapeError: for an empty log or block, or performances that are negative or not finite.
        ConfigError: for a form that does not exist, or if nothing can be compared.
    """
    one_of(("contrast", "ratio"), name, form=form)
    every = [*(b.performance for b in log), *(experts or {}).values()]
    if not log or not all(len(p) and bool((p.isfinite() & (p >= 0)).all()) for p in every):
        raise ShapeError(f"{name}: every block needs finite performances >= 0",
                         fix="Bring all tasks into one range, such as [0, 1].")  # fmt: skip
    learned = curves(log)
    relative, speed = {}, {}
    for task, expert in (experts or {}).items():
        if task in learned:
            own = torch.cat(learned[task])
            n = min(len(own), len(expert))
            total = float(expert[:n].double().sum())
            relative[task] = float(own[:n].sum()) / total if total else float("nan")
            speed[task] = efficiency(own, expert.double())
    found = Lifetime(
        maintenance(log), transfer(log, form=form), transfer(log, backward=True, form=form),
        relative, speed, {t: v for t, c in learned.items() if (v := recovery(c)) is not None},
        alpha, seed, name,
    )  # fmt: skip
    if not found.readings():
        raise ConfigError(f"{name}: nothing can be compared", fix="Test tasks between training.")
    return found
