"""Parts of a box: which signs of neurons are known there, and what was chosen to bound them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Splits:
    """Parts: which alternative is asked about, which signs are known, and what was chosen.

    Args:
        which: `(N,)` the alternative.
        bound: `(N,)` a number below its margin.
        mix: `(N, 1, R)` logits of the mixture of its rows.
        signs: by position of a value before a ReLU, `(N, *shape)`: 1 not negative, -1 not
            positive, 0 open.
        slopes: by position of the ReLU, `(N, 1, *shape)`: of its line below.
        betas: by position of the value, `(N, 1, *shape)`: multipliers of the signs.
        node: `(N,)` the node in a proof.
    """

    which: Tensor
    bound: Tensor
    mix: Tensor
    signs: dict[int, Tensor]
    slopes: dict[int, Tensor]
    betas: dict[int, Tensor]
    node: Tensor

    def __len__(self) -> int:
        return len(self.which)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Splits:
        found: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            many = isinstance(value, dict)
            found[field.name] = {i: change(v) for i, v in value.items()} if many else change(value)
        return Splits(**found)  # type: ignore[arg-type]

    def take(self, rows: Tensor | slice) -> Splits:
        return self._map(lambda v: v[rows])

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
