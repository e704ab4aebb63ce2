"""Bugs of optimizers that look twice: where the second look is taken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from holdfast.optim.sam import SAM

Climb = Callable[[Any], list[tuple[nn.Parameter, Tensor]]]
MUTANTS = ("forgets-to-move", "moves-downhill")


def climbing(kind: type[SAM], mutant: str = "") -> AbstractContextManager[object]:
    """The block in which such an optimizer climbs as a mutant does, or as it should.

    Args:
        kind: of optimizer.
        mutant: `forgets-to-move` takes the second look where the first was taken;
            `moves-downhill` looks at the best weights nearby, not at the worst.
    """
    right: Climb = kind._climb

    @torch.no_grad()
    def downhill(self: SAM) -> list[tuple[nn.Parameter, Tensor]]:
        moved = right(self)
        for p, before in moved:
            p.copy_(2 * before - p)
        return moved

    climbs: dict[str, Climb] = {"": right, MUTANTS[0]: lambda self: [], MUTANTS[1]: downhill}
    return patch.object(kind, "_climb", climbs[mutant])
