"""Parts of a region: which signs of neurons are known there, and what was chosen to bound them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Splits:
    """Parts, each with J alternatives to refute.

    Args:
        bound: `(N, J)` numbers below the margins of the alternatives.
        mix: `(N, J, R)` logits of the mixture of the rows of each.
        signs: by position of a value before a ReLU, `(N, *shape)`: 1 not negative, -1 not
            positive, 0 open.
        low: by position of the value, `(N, *shape)`: lower ends.
        high: likewise.
        slopes: by position of the ReLU, `(N, J, *shape)`: of its line below.
        betas: by position of the value, `(N, J, *shape)`: multipliers of the signs.
        node: `(N,)` the node in a proof.
        pull: by position of the value, `(N, 2, *shape)`: multipliers of the alternative, with which
            lower and upper ends were bounded last; 0 where none were.
        age: `(N,)` splits since neurons were bounded anew.
        depth: `(N,)` splits since planes above neurons were chosen.
        shares: by position of a ReLU, `(N, K, window)`: of planes above its neurons, if there are.
        roofs: by position of a ReLU, `(N, K)`: their offsets.
        slack: `(N, J)` what rounding may take from bounds, as of the last ones.
    """

    bound: Tensor
    mix: Tensor
    signs: dict[int, Tensor]
    low: dict[int, Tensor]
    high: dict[int, Tensor]
    slopes: dict[int, Tensor]
    betas: dict[int, Tensor]
    node: Tensor
    pull: dict[int, Tensor]
    age: Tensor
    depth: Tensor
    shares: dict[int, Tensor]
    roofs: dict[int, Tensor]
    slack: Tensor

    def __len__(self) -> int:
        return len(self.bound)

    @property
    def open(self) -> Tensor:
        """`(N, J)` bool: what is not refuted."""
        return ~(self.bound > 0)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Splits:
        found: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            many = isinstance(value, dict)
            found[field.name] = {i: change(v) for i, v in value.items()} if many else change(value)
        return Splits(**found)  # type: ignore[arg-type]

    def take(self, rows: Tensor | slice) -> Splits:
        return self._map(lambda v: v[rows])

    def clone(self) -> Splits:
        return self._map(Tensor.clone)

    @staticmethod
    def join(parts: Sequence[Splits]) -> Splits:
        found: dict[str, object] = {}
        for field in fields(Splits):
            values = [getattr(part, field.name) for part in parts]
            if isinstance(values[0], dict):
                found[field.name] = {i: torch.cat([v[i] for v in values]) for i in values[0]}
            else:
                found[field.name] = torch.cat(values)
        return Splits(**found)  # type: ignore[arg-type]
