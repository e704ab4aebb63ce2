"""The ledger of a search: what each stage of each attack cost, and which stage broke which row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Times = dict[str, dict[str, float]]  # seconds by name of the ledger and name of the stage


@dataclass(frozen=True)
class Stage:
    """What one stage of an attack cost and won.

    Args:
        name: the attack, and behind a colon the part of it where it has several.
        rows: that it was tried on.
        broken: rows that it broke.
        aside: rows that it set aside as hopeless although it could have gone on.
        forwards: rows sent through the model.
        backwards: rows whose gradient was passed back.
        seconds: of wall time.
    """

    name: str
    rows: int = 0
    broken: int = 0
    aside: int = 0
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def __add__(self, other: Stage) -> Stage:
        """The same stage on other rows."""
        parts = ("rows", "broken", "aside", "forwards", "backwards", "seconds")
        sums = {part: getattr(self, part) + getattr(other, part) for part in parts}
        return replace(self, **sums)


class Ledger:
    """Stages as they come in, and the stage that broke each row.

    Args:
        stages: of an earlier search about the same rows.
        by: `(B,)` positions among them, -1 for rows that stand; None if nothing is known.
        count: number of rows.
    """

    def __init__(self, stages: Sequence[Stage], by: Tensor | None, count: int) -> None:
        known = [-1] * count if by is None else by.tolist()
        self._stages = {stage.name: stage for stage in stages}
        self._by = [stages[k].name if k >= 0 else "" for k in known]

    def add(self, stages: Sequence[Stage], rows: Sequence[int], breakers: Sequence[str]) -> None:
        """Enter the stages of one chunk, and which of them broke which rows.

        Args:
            stages: in order.
            rows: that were broken, counted within the whole search.
            breakers: the name of the stage that broke each of them.
        """
        for stage in stages:
            old = self._stages.get(stage.name)
            self._stages[stage.name] = old + stage if old else stage
        for row, name in zip(rows, breakers, strict=True):
            self._by[row] = name
            self._stages[name] = replace(self._stages[name], broken=self._stages[name].broken + 1)

    def closed(self) -> tuple[tuple[Stage, ...], Tensor]:
        """All stages, and `(B,)` the position of the one that broke each row, -1 for none."""
        place = {name: k for k, name in enumerate(self._stages)}
        by = torch.tensor([place.get(name, -1) for name in self._by], dtype=torch.int64)
        return tuple(self._stages.values()), by
