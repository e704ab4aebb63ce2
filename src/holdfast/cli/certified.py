"""`holdfast certify` at work: rows are certified piece by piece, and one sees how far it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from typing import cast

import torch
from torch import Tensor

from holdfast.checks.smoothed import Counted
from holdfast.cli.progress import Told, clock
from holdfast.cli.proved import Proved, prove_rows
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.records import Subject
from holdfast.ops.batch import chunks
from holdfast.run.watch import watched

NOISY = ("smoothing", "smoothing-sequential", "segmentation")  # they certify a Smoothed model
CHEAP = ("ibp", "crown", "lipschitz", "smoothing", "smoothing-sequential")
AT_ONCE, FEW = 32, 4  # rows between two signs of life: of cheap methods, and of dear ones


def agreed(name: str, sigma: float | None) -> None:
    """Refuse a method of noise without noise, and noise where no method knows of it.

    Raises:
        ConfigError: with the option that is missing, or too much.
    """
    if name in NOISY and not sigma:
        raise ConfigError(
            f"certify: {name} certifies the model behind noise, and nothing says how much",
            fix="--sigma 0.25 (the standard deviation, inputs in [0, 1])", code="E0159",
        )  # fmt: skip
    if sigma is not None and name not in NOISY:
        raise ConfigError(
            f"certify: {name} proves the model itself, --sigma is for votes behind noise",
            fix="--method smoothing, or leave out --sigma", code="E0159",
        )  # fmt: skip


class Proving(Told):
    """Tells how many rows were asked about, and how many of them are proved."""

    proved = asked = 0
    begun = 0.0

    def starts(self, name: str, total: int) -> None:
        """From here on so many rows are certified."""
        self.name, self.total, self.begun = name, total, time.monotonic()
        self._line(f"{name} on {total:,} rows")
        self._refresh()

    def heard(self, rows: int, proved: int) -> None:
        """So many more rows were asked about, and so many of them are proved."""
        self.asked += rows
        self.done, self.proved = min(self.asked, self.total), self.proved + proved
        self._refresh()

    def attacked(self, done: int, count: int, broken: int) -> None:
        """What is not proved is attacked, and a share of what is."""
        if self.total:
            self.total = 0
            self._line(f"{self.proved:,} proved; the rest and some of these are attacked")
        self.name = f"{done:,}/{count:,} rows attacked"
        self._refresh()

    def status(self) -> str:
        took = time.monotonic() - self.begun
        if not self.total or not self.asked:
            return f"{self.name}   {clock(took)}"
        left = took * max(self.total - self.asked, 0) / self.asked
        return (
            f"{self.done:,}/{self.total:,} rows   {self.proved:,} proved   {self.name}   "
            f"at most {clock(left)} more"
        )


class _RefusedError(Exception):
    """A certifier cannot answer: nothing else is worth being tried."""

    def __init__(self, why: Unsupported) -> None:
        super().__init__(str(why))
        self.why = why


class Heard(Certifier):
    """A certifier that is asked about few rows at a time, and tells of each answer.

    Args:
        method: what is asked.
        told: hears.
        at_once: rows of one question.
    """

    def __init__(self, method: Certifier, told: Proving, at_once: int) -> None:
        self.method, self.told, self.at_once = method, told, at_once

    def __repr__(self) -> str:  # names the stream of its draws
        return repr(self.method)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """What the method says of all rows."""
        own, parts = dice_or(dice, len(x)), []
        for p in list(chunks(len(x), self.at_once)) or [slice(0, 0)]:
            i = torch.arange(len(x))[p]
            try:
                said = self.method(model, x[p], goal.take(i), threat.take(i), dice=own.part(i))
            except Unsupported as refusal:
                raise _RefusedError(refusal) from None
            parts.append(said)
            self.told.heard(len(i), int(said.proved.sum()))
        return joined(parts)


def joined(parts: Sequence[Certificate]) -> Certificate:
    """One certificate of the rows of several, in their order."""
    known = [c.radius for c in parts if c.radius is not None]
    return replace(
        parts[0],
        margin=torch.cat([c.margin for c in parts]),
        radius=torch.cat(known) if len(known) == len(parts) else None,
        confidence=min(c.confidence for c in parts),
        mass=min(c.mass for c in parts),
    )


@dataclass(eq=False)
class Answer:
    """What was found, and how many noisy copies of a row were drawn for it; 0 without noise."""

    found: Proved
    copies: float = 0.0


def certified(
    subject: Subject, method: object, name: str, *, sigma: float | None, radii: bool, quiet: bool
) -> Answer:
    """Certify all rows that have a label, and say how far it is.

    Args:
        subject: as read.
        method: the certifier.
        name: of it in the catalogue.
        sigma: of the noise, None for the model itself.
        radii: also find the largest share of the radius that is proved.
        quiet: tell no progress.

    Raises:
        Unsupported: if the method cannot answer, before anything is attacked.
    """
    one = cast("Certifier", method)
    counted = Counted(subject.model) if sigma and subject.model is not None else None
    count = counted is not None and name == "smoothing-sequential"
    asked = replace(subject, model=counted) if count else subject
    with apart(), Proving(StringIO() if quiet else None) as told, watched(told.attacked):
        heard = Heard(one, told, AT_ONCE if name in CHEAP else FEW)
        told.starts(f"certifier:{name}", len(subject.batches) if subject.batches else 0)
        if count and counted is not None:
            heard = Drawn(one, told, AT_ONCE, counted)
        try:
            found = prove_rows(asked, heard, sigma=sigma, radii=radii)
        except _RefusedError as refused:
            raise refused.why from None
    found.certifier, found.subject = one, subject
    if isinstance(heard, Drawn):
        return Answer(found, heard.drawn / max(heard.rows, 1))
    fixed = getattr(one, "samples", 0) + getattr(one, "selection", 0)
    return Answer(found, fixed if sigma else 0)


class Drawn(Heard):
    """Also counts the noisy copies that the answers took."""

    def __init__(self, method: Certifier, told: Proving, at_once: int, counted: Counted) -> None:
        super().__init__(method, told, at_once)
        self.counted, self.drawn, self.rows = counted, 0, 0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        """What the method says of all rows."""
        before = self.counted.rows
        said = super().__call__(model, x, goal, threat, dice=dice)
        self.drawn, self.rows = self.drawn + self.counted.rows - before, self.rows + len(x)
        return said


@contextmanager
def apart() -> Iterator[None]:
    """What libraries written in C print goes to the error stream: ours holds the answer alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
