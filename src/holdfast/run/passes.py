"""The model as a method may see it: access enforced, every row of every pass counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Access, Model
from holdfast.ops.batch import Inputs, rows
from holdfast.run.stages import Stage


@dataclass(frozen=True)
class Passes:
    """What was spent, in rows.

    Args:
        forwards: rows sent through the model.
        backwards: rows whose gradient was passed back.
    """

    forwards: int = 0
    backwards: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forwards + other.forwards, self.backwards + other.backwards)

    def per(self, count: int) -> tuple[float, float]:
        """Forwards and backwards per row of an evaluation with `count` rows."""
        return self.forwards / max(count, 1), self.backwards / max(count, 1)


@dataclass(eq=False)
class Tap:
    """A model that counts its passes and shows no more than an attack may see.

    With `Access.GRADIENT` outputs are the model's own; with `Access.SCORE` they carry no
    gradient; with `Access.DECISION` they are 1 at the winning class and 0 elsewhere, so that a
    margin keeps its sign (a tie shows as the class that torch reports first).

    Args:
        model: what is called.
        access: what its caller may see.
        stage: name of the stage that the first passes belong to.
    """

    model: Model
    access: Access = Access.GRADIENT
    stage: str = ""
    forwards: int = field(default=0, init=False)
    backwards: int = field(default=0, init=False)
    _open: Stage = field(init=False)
    _done: list[Stage] = field(default_factory=list, init=False)
    _since: tuple[int, int, float] = field(init=False)
    _broke: list[tuple[str, Tensor]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._open, self._since = Stage(self.stage), (0, 0, time.perf_counter())

    def enter(self, stage: str, rows: int, aside: int = 0) -> None:
        """What follows belongs to another stage, on so many rows."""
        self._close()
        name = f"{self.stage}: {stage}" if self.stage and stage else stage or self.stage
        self._open = Stage(name, rows, aside=aside)

    def broke(self, rows: Tensor) -> None:
        """The present stage broke these rows, counted within what the attack was given."""
        self._broke.append((self._open.name, rows))

    def stages(self) -> list[Stage]:
        """The stages so far, in order; their passes sum to `passes`."""
        self._close()
        return self._done

    def breaker(self, count: int) -> list[str]:
        """The stage that first broke each of `count` rows; "" where none said so."""
        by = [""] * count
        for name, broken in self._broke:
            for row in broken.tolist():
                by[row] = by[row] or name
        return by

    def _close(self) -> None:
        f, b, start = self._since
        now = time.perf_counter()
        spent = Stage(
            "", forwards=self.forwards - f, backwards=self.backwards - b, seconds=now - start
        )
        if spent.forwards or spent.backwards or self._open.rows or self._open.aside:
            self._done.append(self._open + spent)
        self._open = Stage(self._open.name)
        self._since = (self.forwards, self.backwards, now)

    @property
    def passes(self) -> Passes:
        """What was spent so far."""
        return Passes(self.forwards, self.backwards)

    def __call__(self, x: Inputs) -> Outputs:
        self.forwards += _count(x)
        if self.access is Access.GRADIENT:
            outputs = self.model(x)
            seen = _inner(logits(outputs))
            if seen.requires_grad:
                count = _count(x)
                seen.register_hook(lambda _: self._back(count))
            return outputs
        with torch.no_grad():
            outputs = self.model(x)
        if self.access is Access.SCORE:
            return _detached(outputs)
        z = logits(outputs).detach()
        return torch.zeros_like(z).scatter(-1, z.argmax(-1, keepdim=True), 1.0)

    def _back(self, count: int) -> None:
        self.backwards += count


def _detached(outputs: Outputs) -> Outputs:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    values = [v.detach() if isinstance(v, Tensor) else v for v in outputs]
    return type(outputs)(*values) if hasattr(outputs, "_fields") else tuple(values)


def _inner(z: Tensor) -> Tensor:
    """The tensor that gradients flow through, where `torch.vmap` has wrapped it."""
    functorch = torch._C._functorch
    while functorch.is_batchedtensor(z):
        z = functorch.get_unwrapped(z)
    return z


def _count(x: Inputs) -> int:
    """Rows of the inputs, those that `torch.vmap` hides included."""
    count = rows(x)
    if isinstance(x, Tensor):
        functorch = torch._C._functorch
        while functorch.is_batchedtensor(x):
            hidden = functorch.maybe_get_bdim(x)
            x = functorch.get_unwrapped(x)
            count *= x.shape[hidden]
    return count


def enter(model: Model, stage: str, rows: int, aside: int = 0) -> None:
    """Tell the harness, where it listens, that what follows is another stage of an attack.

    Args:
        model: as the attack was given it.
        stage: its name.
        rows: that it is tried on.
        aside: rows that are set aside here although they are not broken.
    """
    if isinstance(model, Tap):
        model.enter(stage, rows, aside)


def broke(model: Model, rows: Tensor) -> None:
    """Tell the harness, where it listens, which rows the present stage has broken."""
    if isinstance(model, Tap) and len(rows):
        model.broke(rows)
