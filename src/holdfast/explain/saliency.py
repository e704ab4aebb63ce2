"""The gradient as an explanation."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.core.kinds import Explainer, Model, Readout
from holdfast.explain.inputs import slope, start_of


@register("explainer", cites="saliency")
@settings
class Saliency(Explainer):
    """Gradient of the readout in the input: which values would move it most.

    It is exact for the linear piece the input lies on, and blind beyond it. Times the input
    it adds up to the readout for networks of ReLU and linear layers without biases.

    Cost: one forward and one backward pass per row.

    Args:
        form: `signed` gradient, its `absolute` value, or `times-input`, the gradient times the
            distance from the baseline (zeros unless given).
    """

    form: Literal["signed", "absolute", "times-input"] = "signed"

    def __call__(
        self,
        model: Model,
        x: Tensor,
        readout: Readout,
        *,
        baseline: Tensor | None = None,
        dice: Dice | None = None,
    ) -> Tensor:
        found = slope(model, x, readout, "Saliency")
        if self.form == "absolute":
            return found.abs()
        if self.form == "times-input":
            return found * (x.detach() - start_of(x, baseline, "Saliency"))
        return found
