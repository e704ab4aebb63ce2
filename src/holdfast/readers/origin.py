"""Where rows come from: kept as `Batches.truth`, so that reports can say it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from holdfast.core.data import Batches


@dataclass(frozen=True, eq=False, kw_only=True)
class Origin:
    """What a reader knows about the rows it read.

    Args:
        name: short name without folders, safe to show.
        form: `images`, `table` or `tensor`; tables are scaled when they join a model.
        columns: names of the columns of a table.
        total: rows in the source, before any sampling.
        groups: names of the groups, where they have names.
        known: names of all classes of the models that the rows are for, where only some of them
            occur; when the rows join a model, its other outputs are ruled out.
        low: `(d,)` what 0 means in each column, once scaled; None before.
        high: `(d,)` what 1 means in each column, once scaled; None before.
        inner: what a synthetic source knows about itself.
    """

    name: str
    form: str = "images"
    columns: tuple[str, ...] = ()
    total: int = 0
    groups: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    low: Tensor | None = None
    high: Tensor | None = None
    inner: Any = None


def origin(batches: Batches) -> Origin:
    """The origin of any rows, made up where no reader has left one."""
    if isinstance(batches.truth, Origin):
        return batches.truth
    table = isinstance(batches.x, Tensor) and batches.x.dim() == 2
    return Origin(
        name="data", form="table" if table else "tensor", total=len(batches), inner=batches.truth
    )


def marked(batches: Batches, **changes: Any) -> Batches:
    """The same rows with some facts about their origin replaced."""
    return replace(batches, truth=replace(origin(batches), **changes))
