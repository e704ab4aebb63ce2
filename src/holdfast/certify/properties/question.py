"""One property of one model while it is decided: what is asked, replayed and sought."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor, nn

from holdfast.certify.properties.property import Case, Property
from holdfast.certify.search.unsafe import Disjuncts, Unsafe
from holdfast.certify.search.witness import seek
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.ops.interval import Box

SAMPLES, NUMBERS = 2**17, 2**20  # random points: at most; and numbers in all of them
MANY = 1000  # inputs above which fewer points are tried at once
AT_ONCE, FEWER = 512, 128
STEPS = 60  # of each of half as many descents
Replay = Callable[[Tensor], Sequence[float]]


@dataclass(frozen=True, eq=False)
class Witness:
    """A point of the unsafe set.

    Args:
        x: inputs, exactly; the network was given them rounded to its type.
        y: the outputs that it gave.
    """

    x: tuple[Fraction, ...]
    y: tuple[float, ...]


class Joint(nn.Module):
    """A model whose outputs are followed by its inputs, for properties that speak of both."""

    def __init__(self, model: Model, *, inputs: bool) -> None:
        super().__init__()
        self.inner, self.inputs = model, inputs

    def forward(self, x: Tensor) -> Tensor:
        y = logits(self.inner(x)).flatten(1)
        return torch.cat([y, x.flatten(1)], 1) if self.inputs else y


@dataclass(eq=False)
class Question:
    """One property of one model, and what was found out so far."""

    model: Model
    prop: Property
    shape: tuple[int, ...]
    dtype: torch.dtype
    replay: Replay
    dice: Dice
    deadline: float
    witness: Witness | None = None
    rejected: int = 0
    domains: int = 0
    stages: dict[str, float] = field(default_factory=dict)

    def accepts(self, case: Case, x: Tensor) -> bool:
        """Replay a candidate `(n,)`; whether it is a witness."""
        exact = case.nearest(x)
        seen = torch.tensor([float(v) for v in exact], dtype=torch.float64).to(self.dtype)
        y = tuple(float(v) for v in self.replay(seen.reshape(1, *self.shape)))
        if self.prop.holds(exact, y):
            self.witness = Witness(exact, y)
            return True
        self.rejected += 1
        return False

    def attack(self, case: Case, deadline: float, rounds: int) -> bool:
        """Look for a witness of a case in the model itself; whether one was found."""
        start, most = time.monotonic(), AT_ONCE if self.prop.inputs <= MANY else FEWER
        ends = (end.to(self.dtype).reshape(self.shape) for end in (case.low, case.high))
        network, disjuncts = self.joint(case)
        with quiet(self.model):
            found = any(
                self.accepts(case, x)
                for tried in seek(
                    network, Unsafe.of(disjuncts), Box(*ends), self.dice.generator("witness"),
                    samples=max(most, min(SAMPLES, NUMBERS // self.prop.inputs)),
                    at_once=most, starts=most // 2, steps=STEPS, rounds=rounds,
                    deadline=min(deadline, self.deadline),
                )
                for x in tried.witnesses
            )  # fmt: skip
        self.stages["attack"] = self.stages.get("attack", 0.0) + time.monotonic() - start
        return found

    def joint(self, case: Case) -> tuple[Joint, Disjuncts]:
        """A model of all that the alternatives of a case speak of, and the alternatives."""
        mixed = any(way.inputs is not None for way in case.unsafe)
        disjuncts = []
        for way in case.unsafe:
            e = way.inputs
            if e is None:
                e = torch.zeros(len(way.limits), self.prop.inputs, dtype=torch.float64)
            rows = torch.cat([way.outputs, e], 1) if mixed else way.outputs
            disjuncts.append((rows, way.limits))
        return Joint(self.model, inputs=mixed), disjuncts
