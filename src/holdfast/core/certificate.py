"""What a certifier says: a bound on the adversary's margin, about one function and one threat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.core.kinds import Model, Threat


@dataclass(frozen=True, eq=False)
class Certificate:
    """A proof, or a statement with known confidence, about one function on each row.

    Args:
        about: the function it speaks of; an attack on another function contradicts nothing.
        threat: the set of changes it covers.
        margin: `(B,)`, an upper bound of the adversary's margin; negative means proved. A
            non-finite bound never proves.
        radius: `(B,)` in the unit of the threat where the method gives one.
        confidence: probability that the statement is right (1 for a proof).
        mass: share of the threat that is covered (1 for all of it).
    """

    about: Model
    threat: Threat
    margin: Tensor
    radius: Tensor | None = None
    confidence: float = 1.0
    mass: float = 1.0

    @property
    def proved(self) -> Tensor:
        """`(B,)` bool: rows on which the adversary provably cannot win."""
        return self.margin.isfinite() & (self.margin < 0)

    def take(self, rows: Tensor) -> Certificate:
        """The same statement for a selection of rows."""
        radius = None if self.radius is None else self.radius[rows]
        return Certificate(
            self.about, self.threat, self.margin[rows], radius, self.confidence, self.mass
        )
