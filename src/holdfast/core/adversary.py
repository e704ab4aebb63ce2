"""The adversary and those who hold against it: threats, attacks, certifiers, defences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar, Protocol, TypeVar

from torch import Tensor

from holdfast.core.callables import Model
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.margin import Goal, Outputs

T = TypeVar("T", bound="Threat")


class Access(Enum):
    """What an attack may see of a model."""

    DECISION = "decision"  # the winning class only
    SCORE = "score"  # outputs, no gradients
    GRADIENT = "gradient"


class Threat(ABC):
    """A set of admissible changes of an input; a change is one tensor, rows first.

    `low` and `high` bound the changed input (0 and 1 unless said). Attacks never build inputs
    themselves: they call `through`. `spec` prints the threat in the common grammar. Where a change
    is winding (it has a place, or an angle), the margin rises and falls many times over it, and an
    ascent must start from many places.
    """

    low: float
    high: float
    winding: ClassVar[bool] = False

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

    def along(self, x: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """The step of one radius by which an ascent of many steps moves: `steepest` unless the
        threat knows one that goes on rising when it is repeated.

        Raises:
            Unsupported: where the threat has no steepest direction.
        """
        return self.steepest(x, change, gradient)

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


class Defence(Protocol):
    """(model, *, settings) -> a model to be attacked and certified as a whole."""

    def __call__(self, model: Model, /) -> Model: ...
