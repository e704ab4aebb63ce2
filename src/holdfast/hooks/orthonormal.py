"""A run that starts from orthonormal filters."""

from __future__ import annotations

from holdfast.compress.orthonormal import make_orthonormal
from holdfast.core.catalog import register
from holdfast.core.fields import settings
from holdfast.core.kinds import Hook, Run


@register(
    "hook", cites="orthonormality-modulation", name="orthonormal-start",
    says="Starts a run from random orthonormal filters.",
)  # fmt: skip
@settings
class OrthonormalStart(Hook):
    """Before the first step every linear and convolutional layer gets orthonormal filters.

    What was learned before is lost; biases stay. Signals keep their length through such layers,
    forwards and backwards, however many there are.
    """

    def start(self, run: Run) -> None:
        make_orthonormal(run.model, run.dice.generator("orthonormal"))
