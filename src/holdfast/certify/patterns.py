"""Neuron activation patterns: which units the inputs of a class switch on and off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside


@dataclass(frozen=True, eq=False)
class Patterns:
    """For each class the units that are nearly always on, or nearly always off.

    Args:
        signs: `(K, ...)` per ReLU in order of evaluation: 1 on, -1 off, 0 not specified.
    """

    signs: tuple[Tensor, ...]

    @classmethod
    def mine(cls, model: Model, x: Tensor, y: Tensor, *, share: float = 0.95) -> Patterns:
        """The pattern that at least a share of each class's inputs follow, unit by unit.

        A unit is on where its pre-activation is above zero. A smaller share specifies more units,
        and fewer inputs follow all of them. A class without inputs specifies nothing.

        Args:
            model: a network with ReLUs.
            x: `(B, ...)` inputs.
            y: `(B,)` labels.
            share: in (1/2, 1].

        Raises:
            ConfigError: for a share outside of its range.
            Unsupported: for a network without ReLU.
        """
        inside("(0.5, 1]", "Patterns", share=share)
        signs = []
        for on in activations(model, x):
            rows = []
            for k in range(int(y.max()) + 1 if len(y) else 0):
                own = on[(y == k).to(on.device)].double()
                mean = own.mean(0) if len(own) else torch.full_like(on[:0].sum(0).double(), 0.5)
                rows.append((mean >= share).to(torch.int8) - (1 - mean >= share).to(torch.int8))
            signs.append(torch.stack(rows))
        return cls(tuple(signs))

    def follows(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        """`(B,)` bool: whether each input follows the pattern of class y."""
        return self.violated(model, x, y) == 0

    def violated(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        """`(B,)`: share of the specified units of class y that each input switches otherwise."""
        wrong = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        count = torch.zeros_like(wrong)
        for on, signs in zip(activations(model, x), self.signs, strict=True):
            asked = signs.to(x.device)[y.to(x.device)].flatten(1)
            seen = 2 * on.flatten(1).to(torch.int8) - 1
            wrong += ((asked != 0) & (asked != seen)).sum(1)
            count += (asked != 0).sum(1)
        return wrong / count.clamp(min=1)

    def disjoint(self, a: int, b: int) -> bool:
        """Whether no input can follow the patterns of two classes: one unit must be on and off."""
        return any(bool((s[a] * s[b] < 0).any()) for s in self.signs)

    def specified(self, k: int) -> float:
        """Share of units that the pattern of a class specifies."""
        total = sum(s[k].numel() for s in self.signs)
        return sum(int((s[k] != 0).sum()) for s in self.signs) / max(total, 1)


class _Watch(TorchFunctionMode):
    """Records the signs of all that goes into a ReLU, in order of evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.on: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("relu", "relu_"):
            self.on.append(args[0].detach() > 0)
        return func(*args, **(kwargs or {}))


def activations(model: Model, x: Tensor) -> list[Tensor]:
    """`(B, ...)` bool per ReLU: which units are on, as the model computes them.

    Raises:
        Unsupported: if it has no ReLU.
    """
    with quiet(model), torch.no_grad(), _Watch() as watch:
        model(x)
    if not watch.on:
        raise Unsupported("activation patterns need a network with ReLUs", fix="Use nn.ReLU.")
    found: list[Tensor] = watch.on
    return found
