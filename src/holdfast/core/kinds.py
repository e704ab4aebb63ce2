"""The kinds: call signatures of everything the catalogue holds.

A method is a frozen dataclass with `__call__`, a plain function, or a citizen of torch; each
kind below says how it is called. Laws of each kind stand in `holdfast.testing.laws`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor
from torch.optim import Optimizer

from holdfast.core.acting import Agent, Env
from holdfast.core.adversary import Access, Attack, Certifier, Defence, Threat
from holdfast.core.callables import Model, Readout, Score, State, Writer
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import Goal, Outputs
from holdfast.core.learning import (
    Aggregator,
    Backward,
    Hook,
    Loss,
    Merge,
    Objective,
    Recipe,
    Rewrite,
    Run,
)
from holdfast.core.records import Finding, Reading, Subject
from holdfast.ops.batch import Inputs


class Explainer(ABC):
    """Distributes a readout over the input."""

    @abstractmethod
    def __call__(
        self,
        model: Model,
        x: Tensor,
        readout: Readout,
        *,
        baseline: Tensor | None = None,
        dice: Dice | None = None,
    ) -> Tensor: ...


class Detector(ABC):
    """Learns from trusted rows how far to trust an output; larger scores mean less."""

    @abstractmethod
    def fit(self, model: Model, trusted: Batches) -> Score: ...


class Check(ABC):
    """Asks a question of a subject and answers with findings.

    `needs` names the fields of the subject that must be there; `section` is its place in the
    report; `cost` forecasts passes (rows through the model) so that the plan can be ordered.
    """

    question: ClassVar[str]
    section: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("model", "batches")

    @abstractmethod
    def __call__(self, subject: Subject) -> Iterator[Finding]: ...

    def cost(self, subject: Subject) -> float:
        """Forecast: rows passed through the model, a backward pass counted as two.

        Without a method of its own a check passes every row once, or none if it needs nothing.
        """
        if not self.needs:
            return 0.0
        return float(len(subject.batches)) if subject.batches is not None else 0.0


class Shift(Protocol):
    """(batch, severity, dice) -> batch; severity in [0, 1], 0 = identity."""

    def __call__(self, batch: Batch, severity: float, dice: Dice) -> Batch: ...


class Measure(Protocol):
    """(what, *, settings) -> a record of numbers."""

    def __call__(self, what: Any, /) -> Any: ...


class Source(Protocol):
    """(n, dice) -> Batches with `.truth`."""

    def __call__(self, n: int, dice: Dice) -> Batches: ...


def readings(record: object) -> list[Reading]:
    """The numbers of a record: a Reading, a sequence of them, or anything with `.readings()`."""
    if isinstance(record, Reading):
        return [record]
    if isinstance(record, Mapping):
        return [r for value in record.values() for r in readings(value)]
    if isinstance(record, Sequence):
        return [r for value in record for r in readings(value)]
    own = getattr(record, "readings", ())
    return list(own() if callable(own) else own)


KINDS: dict[str, object] = {
    "threat": Threat, "attack": Attack, "certifier": Certifier, "defence": Defence, "loss": Loss,
    "objective": Objective, "backward": Backward, "hook": Hook, "recipe": Recipe,
    "optimizer": Optimizer, "rewrite": Rewrite, "merge": Merge, "aggregator": Aggregator,
    "shift": Shift, "measure": Measure, "explainer": Explainer, "detector": Detector,
    "source": Source, "check": Check, "env": Env, "agent": Agent,
}  # fmt: skip
PACKAGES: dict[str, tuple[str, ...]] = {
    "threat": ("threats",), "attack": ("attacks",), "certifier": ("certify",),
    "defence": ("defend",), "loss": ("losses",), "objective": ("objectives",),
    "backward": ("backward",), "hook": ("hooks",), "recipe": ("recipes",),
    "optimizer": ("optim",), "rewrite": ("compress",), "merge": ("merge",),
    "aggregator": ("aggregate",), "shift": ("shifts",), "measure": ("measures",),
    "explainer": ("explain",), "detector": ("detect",), "source": ("readers",),
    "check": ("checks",), "env": ("rl",), "agent": ("rl",),
}  # fmt: skip
__all__ = [
    "KINDS", "PACKAGES", "Access", "Agent", "Aggregator", "Attack", "Backward", "Batch", "Batches",
    "Certifier", "Check", "Defence", "Detector", "Env", "Explainer", "Goal", "Hook", "Inputs",
    "Loss", "Measure", "Merge", "Model", "Objective", "Outputs", "Readout", "Recipe", "Rewrite",
    "Run", "Score", "Shift", "Source", "State", "Threat", "Writer", "readings",
]  # fmt: skip
