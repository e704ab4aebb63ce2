"""The kinds: call signatures of everything the catalogue holds.

A method is a frozen dataclass with `__call__`, a plain function, or a citizen of torch; each
kind below says how it is called. Laws of each kind stand in `holdfast.testing.laws`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal, Outputs
from holdfast.core.records import Certificate, Finding, Reading, Subject
from holdfast.ops.batch import Inputs

Model: TypeAlias = Callable[[Any], Outputs]
Writer: TypeAlias = Callable[[Sequence[str], int, Dice], list[list[str]]]
Readout: TypeAlias = Callable[[Outputs], Tensor]
Score: TypeAlias = Callable[..., Tensor]
State: TypeAlias = dict[str, Tensor]
T = TypeVar("T", bound="Threat")


class Access(Enum):
    """What an attack may see of a model."""

    DECISION = "decision"  # the winning class only
    SCORE = "score"  # outputs, no gradients
    GRADIENT = "gradient"


class Threat(ABC):
    """A set of admissible changes of an input; a change is one tensor, rows first.

    `low` and `high` bound the changed input (0 and 1 unless said). Attacks never build inputs
    themselves: they call `through`. `spec` prints the threat in the common grammar.
    """

    low: float
    high: float

    @property
    @abstractmethod
    def spec(self) -> str:
        """The threat in the common grammar, e.g. `linf:8/255`."""

    @abstractmethod
    def none(self, x: Tensor) -> Tensor:
        """The change that changes nothing."""

    @abstractmethod
    def sample(self, x: Tensor, dice: Dice) -> Tensor:
        """A random admissible change per row."""

    @abstractmethod
    def near(
        self, x: Tensor, change: Tensor, share: float, dice: Dice, gradient: Tensor | None = None
    ) -> Tensor:
        """A random admissible change close to `change`; `share` in (0, 1] scales the move."""

    @abstractmethod
    def project(self, x: Tensor, change: Tensor) -> Tensor:
        """The nearest admissible change; leaves admissible ones as they are."""

    @abstractmethod
    def apply(self, x: Tensor, change: Tensor) -> Tensor:
        """The changed input."""

    @abstractmethod
    def size(self, x: Tensor, change: Tensor) -> Tensor:
        """`(B,)`: size of each change in radii; admissible iff <= 1."""

    @abstractmethod
    def scaled(self: T, factor: float) -> T:
        """The same kind of threat with its radius multiplied."""

    def steepest(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """The step of one radius along which a linear function with this gradient rises most.

        Raises:
            Unsupported: where the threat has no steepest direction.
        """
        raise Unsupported(f"{self.spec} has no steepest direction", fix="Use a black-box attack.")

    def through(self, model: Model, x: Tensor, change: Tensor) -> Outputs:
        """Outputs of the model under the change; differentiable in the change."""
        return model(self.apply(x, change))

    def take(self: T, rows: Tensor | slice) -> T:
        """The threat of a selection of rows; threats without per-row data return themselves."""
        return self


class Attack(ABC):
    """Looks for an admissible change with a positive margin; returns the best change it saw."""

    access: ClassVar[Access]

    @abstractmethod
    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor: ...


class Certifier(ABC):
    """Bounds the margin of every admissible change from above."""

    @abstractmethod
    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate: ...


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
        """Forecast: rows passed through the model, a backward pass counted as two."""
        return float(len(subject.batches)) if subject.batches is not None else 0.0


class Run(Protocol):
    """What an objective, a backward pass and a hook see of a training run."""

    model: nn.Module
    dice: Dice
    step: int
    epoch: int
    progress: float  # share of the planned steps that are done, in [0, 1]
    parts: nn.ModuleDict

    def memory(self, owner: object) -> dict[str, Any]:
        """The private, checkpointed memory of a hook, objective or backward pass."""


class Objective(Protocol):
    """One loss per row; `parts` is what else it trains (critics, heads, multipliers)."""

    def __call__(self, run: Run, batch: Batch) -> Tensor: ...


class Backward(Protocol):
    """Computes the losses and leaves `.grad` filled."""

    def __call__(self, run: Run, batch: Batch, objective: Objective) -> Tensor: ...


class Hook(ABC):  # noqa: B024
    """Looks into a training run at fixed stages; overrides only the stages it needs."""

    def start(self, run: Run) -> None:  # noqa: B027
        """Before the first step."""

    def batch(self, run: Run, batch: Batch) -> Batch:
        """May replace the batch."""
        return batch

    def losses(self, run: Run, batch: Batch, losses: Tensor) -> Tensor:
        """May replace the losses `(B,)`."""
        return losses

    def share(self, run: Run, batch: Batch, losses: Tensor) -> Tensor | None:  # noqa: B027
        """Weights `(B,)` of mean 1, or None."""

    def gradients(self, run: Run) -> None:  # noqa: B027
        """After the backward pass, before the optimizer."""

    def stepped(self, run: Run) -> None:  # noqa: B027
        """After each step of the optimizer."""

    def epoch(self, run: Run) -> bool | None:  # noqa: B027
        """After each epoch; True asks the run to stop."""

    def end(self, run: Run) -> None:  # noqa: B027
        """After the last step."""


class Loss(Protocol):
    """(outputs, target, *, settings) -> one number per target, 0 at -100."""

    def __call__(self, outputs: Tensor, target: Tensor, /) -> Tensor: ...


class Defence(Protocol):
    """(model, *, settings) -> a model to be attacked and certified as a whole."""

    def __call__(self, model: Model, /) -> Model: ...


class Shift(Protocol):
    """(batch, severity, dice) -> batch; severity in [0, 1], 0 = identity."""

    def __call__(self, batch: Batch, severity: float, dice: Dice) -> Batch: ...


class Measure(Protocol):
    """(what, *, settings) -> a record of numbers."""

    def __call__(self, what: Any, /) -> Any: ...


class Recipe(Protocol):
    """(model, batches, *, dice) -> Run; the only kind that changes its model."""

    def __call__(self, model: nn.Module, batches: Batches, *, dice: Dice | None = None) -> Any: ...


class Rewrite(Protocol):
    """(model, batches, *, dice) -> a new model, smaller or cheaper."""

    def __call__(
        self, model: nn.Module, batches: Batches | None, *, dice: Dice | None = None
    ) -> nn.Module: ...


class Merge(Protocol):
    """(states, base, *, model, batches, dice) -> one state."""

    def __call__(
        self,
        states: Sequence[State],
        base: State | None,
        *,
        model: nn.Module | None = None,
        batches: Batches | None = None,
        dice: Dice | None = None,
    ) -> State: ...


class Aggregator(Protocol):
    """(updates (n, d), weights (n,)) -> (d,)."""

    def __call__(self, updates: Tensor, weights: Tensor | None, /) -> Tensor: ...


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
    "source": Source, "check": Check,
}  # fmt: skip
PACKAGES: dict[str, tuple[str, ...]] = {
    "threat": ("threats",), "attack": ("attacks",), "certifier": ("certify",),
    "defence": ("defend",), "loss": ("losses",), "objective": ("objectives",),
    "backward": ("backward",), "hook": ("hooks",), "recipe": ("recipes",),
    "optimizer": ("optim",), "rewrite": ("compress",), "merge": ("merge",),
    "aggregator": ("aggregate",), "shift": ("shifts",), "measure": ("measures",),
    "explainer": ("explain",), "detector": ("detect",), "source": ("readers",),
    "check": ("checks",),
}  # fmt: skip
__all__ = [
    "KINDS", "PACKAGES", "Access", "Aggregator", "Attack", "Backward", "Batch", "Batches",
    "Certifier", "Check", "Defence", "Detector", "Explainer", "Goal", "Hook", "Inputs", "Loss",
    "Measure", "Merge", "Model", "Objective", "Outputs", "Readout", "Recipe", "Rewrite", "Run",
    "Score", "Shift", "Source", "State", "Threat", "Writer", "readings",
]  # fmt: skip
