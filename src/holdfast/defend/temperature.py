"""Temperature scaling: logits divided by one number, so that confidence means frequency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.fields import Positive, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Model
from holdfast.defend.trusted import trusted_logits, with_logits

COLDEST, HOTTEST = 1e-3, 1e3
ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Tempered:
    """A model whose logits are divided by a temperature.

    Args:
        base: the model.
        temperature: positive; 1 gives the base itself.
    """

    base: Model
    temperature: float

    def __call__(self, x: Any) -> Outputs:
        """The outputs of the base, its logits divided."""
        out = self.base(x)
        if self.temperature == 1:
            return out
        return with_logits(out, logits(out) / self.temperature)


def best_temperature(z: Tensor, y: Tensor) -> float:
    """The temperature that minimises the cross-entropy of labels under divided logits.

    The loss is convex in the inverse temperature, so its derivative has one root; Newton's steps
    find it, and a bracket that halves catches those that leave it. Perfect separation has its
    optimum at zero temperature: the answer is then one so cold that the loss is zero to rounding.

    Args:
        z: `(n, K)` logits.
        y: `(n,)` labels.
    """
    z = z.double()
    own = z.gather(1, y[:, None])[:, 0]

    def slopes(b: float) -> tuple[float, float]:
        p = (b * z).softmax(1)
        mean = (p * z).sum(1)
        spread = (p * (z - mean[:, None]) ** 2).sum(1)
        return float((mean - own).mean()), float(spread.mean())

    low, high, b = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(ROUNDS):
        slope, curve = slopes(b)
        flat = slope == 0 and curve == 0
        if flat and b == 1 and not bool((z - own[:, None]).any()):
            return 1.0  # equal logits say nothing at any temperature
        # Flat elsewhere means that every row is decided: colder is no worse.
        low, high = (b, high) if slope < 0 or flat else (low, b)
        step = b - slope / curve if curve > 0 else high
        new = step if low < step < high else (low * high) ** 0.5
        if abs(new - b) <= 1e-14 * b:
            break
        b = new
    return 1 / b


@register(
    "defence",
    name="temperature",
    cites="guo2017calibration",
    says="Divides the logits by one temperature fitted on trusted rows; decisions stay the same.",
)
@settings
class Temperature:
    """Divides all logits by one positive number; the order of the classes cannot change.

    `fit` finds the number that makes the labels of trusted rows most likely and returns it as
    another `Temperature`; nothing is changed in place.

    Args:
        temperature: positive; 1 leaves the model as it is, larger numbers lower its confidence.

    Cost: nothing beyond the model; fitting takes one forward pass per trusted row.
    """

    temperature: Positive = 1.0

    def __call__(self, model: Model) -> Tempered:
        """The model with its logits divided."""
        return Tempered(model, self.temperature)

    def fit(self, model: Model, trusted: Batches) -> Temperature:
        """The temperature of least cross-entropy on trusted rows.

        Args:
            model: in eval mode.
            trusted: rows that the model was not trained on; rows without label are left out.

        Raises:
            ShapeError: if no trusted row has a label.
        """
        z, y = trusted_logits(model, trusted, "Temperature.fit")
        return replace(self, temperature=best_temperature(z, y))
