"""How much of a relative change of its input a net may blow up, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.records import Reading
from holdfast.ops.lowrank import condition


@dataclass(frozen=True)
class Conditioning:
    """Condition numbers of a net.

    Args:
        worst: the largest of any layer.
        product: decimal logarithm of the product over the layers, which bounds that of a net
            without activations.
        layers: each layer's, in the order of the modules.
    """

    worst: Reading
    product: Reading
    layers: tuple[float, ...]

    def readings(self) -> tuple[Reading, ...]:
        """The two numbers."""
        return self.worst, self.product


@register("measure", cites="condlr", says="Condition numbers of the layers of a net.")
def condition_numbers(net: nn.Module, *, name: str = "condition") -> Conditioning:
    """Largest over smallest nonzero singular value of each linear or convolutional matrix.

    A relative change of the input of a layer is at most its condition number times as large,
    relatively, behind it, for inputs that the layer sees at all. Exact, up to rounding.

    Args:
        net: whose layers are read; a layer with a `matrix()` counts with that.
        name: prefix of the readings.

    Raises:
        Unsupported: if it has no such layer.

    Cost: one singular value decomposition per layer.
    """
    found = [m for m in (_matrix(module) for module in net.modules()) if m is not None]
    if not found:
        raise Unsupported(
            f"{name}: the model has no linear or convolutional layer",
            fix="Give a model with an nn.Linear or nn.Conv2d inside, not a wrapped function.",
        )
    each = tuple(float(condition(m)) for m in found)
    total = sum(math.log10(k) for k in each)
    return Conditioning(
        _exact(f"{name}.worst", max(each), len(each), "ratio"),
        _exact(f"{name}.product", total, len(each), "decades"),
        each,
    )


def _matrix(module: nn.Module) -> Tensor | None:
    factored = getattr(module, "matrix", None)
    if callable(factored):
        with torch.no_grad():
            made: Tensor = factored()
        return made
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return module.weight.flatten(1)
    return None


def _exact(name: str, value: float, n: int, unit: str) -> Reading:
    return Reading(
        name=name, value=value, low=value, high=value, n=n, bound="exact", unit=unit, better="lower"
    )
