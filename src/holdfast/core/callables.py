"""What is called by every method: models, writers, readouts and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.margin import Outputs

Model: TypeAlias = Callable[[Any], Outputs]
Writer: TypeAlias = Callable[[Sequence[str], int, Dice], list[list[str]]]
Readout: TypeAlias = Callable[[Outputs], Tensor]
Score: TypeAlias = Callable[..., Tensor]
State: TypeAlias = dict[str, Tensor]
