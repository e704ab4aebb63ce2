"""Subjects and checks that cost nothing, for tests of the harness."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import Contradiction, Unsupported
from holdfast.core.fields import NonNegative, settings
from holdfast.core.kinds import Check
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.suite import Suite


@settings
class Says(Check):
    """One reading that depends on its settings alone."""

    question: ClassVar[str] = "What does it say?"
    section: ClassVar[str] = "clean"

    name: str = "clean.accuracy"
    value: float = 0.9
    pause: NonNegative = 0.0
    dear: float = 1.0
    ends: str = "well"
    log: str = ""

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        for _ in range(round(self.pause / 0.01)):
            time.sleep(0.01)
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{self.name}\n")
        if self.ends == "crash":
            raise RuntimeError("it broke at 0x7f001122aabb\nand more")
        if self.ends == "unsupported":
            raise Unsupported("cannot do it", fix="Do something else.")
        if self.ends == "stop":
            raise KeyboardInterrupt
        if self.ends == "contradiction":
            raise Contradiction("broken", witnesses={"attack": 1, "certificate": 2})
        reading = Reading(
            name=self.name, value=self.value, low=self.value - 0.05, high=self.value + 0.05, n=10
        )
        infinite = Reading(name=f"{self.name}.bad", value=float("nan"), low=0.0, high=1.0, n=1)
        yield Finding(severity=Severity.INFO, says="It says so.", readings=(reading, infinite))

    def cost(self, subject: Subject) -> float:
        return self.dear


@settings
class Wants(Says):
    """Needs something that the subject does not have."""

    needs: ClassVar[tuple[str, ...]] = ("writer",)


def subject(**changes: object) -> Subject:
    torch.manual_seed(0)
    rows = Batches(x=torch.rand(12, 4), y=torch.arange(12) % 3, classes=("a", "b", "c"))
    values = {"model": nn.Linear(4, 3), "batches": rows, "about": {"name": "double"}} | changes
    return Subject(**values)  # type: ignore[arg-type]


def suite(*checks: Check) -> Suite:
    return Suite("double", checks)
