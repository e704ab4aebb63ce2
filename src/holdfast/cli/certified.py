"""`holdfast certify` at work: rows are certified piece by piece, and one sees how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import cast

from holdfast.checks.smoothed import Counted
from holdfast.cli.answers import Answers
from holdfast.cli.heard import Drawn, Heard, RefusedError
from holdfast.cli.proved import Proved, prove_rows
from holdfast.cli.proving import Proving
from holdfast.cli.resumed import resumed
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Certifier
from holdfast.core.records import Subject
from holdfast.run.foreign import foreign_digest
from holdfast.run.keeper import Keeper
from holdfast.run.watch import watched

NOISY = ("smoothing", "smoothing-sequential", "segmentation")  # they certify a Smoothed model
SLOW = ("beta-crown", "milp", "sdp")  # seconds or minutes for one row
AT_ONCE, ALONE = 16, 1  # rows between two signs of life


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


@dataclass(eq=False)
class Answer:
    """What was found, and how many noisy copies of a row were drawn for it; 0 without noise."""

    found: Proved
    copies: float = 0.0


def certified(
    subject: Subject, method: object, name: str, *, sigma: float | None, radii: bool, quiet: bool,
    pieces: Path | None = None,
) -> Answer:  # fmt: skip
    """Certify all rows that have a label, and say how far it is.

    Args:
        subject: as read.
        method: the certifier.
        name: of it in the catalogue.
        sigma: of the noise, None for the model itself.
        radii: also find the largest share of the radius that is proved.
        quiet: tell no progress.
        pieces: where answers are kept until all are there; None keeps nothing.

    Raises:
        Unsupported: if the method cannot answer, before anything is attacked.
    """
    one = cast("Certifier", method)
    counted = Counted(subject.model) if sigma and subject.model is not None else None
    count = counted is not None and name == "smoothing-sequential"
    asked = replace(subject, model=counted) if count else subject
    with (
        apart(),
        Proving(StringIO() if quiet else None) as told,
        watched(told.attacked),
        _kept(pieces, subject, one, sigma) as keeper,
    ):
        answers = Answers(None if keeper is None else keeper.folder)
        heard = Heard(one, told, ALONE if name in SLOW else AT_ONCE, answers)
        told.starts(f"certifier:{name}", len(subject.batches) if subject.batches else 0)
        if keeper is not None and keeper.before:
            told.goes_on(keeper.before)
        if count and counted is not None:
            heard = Drawn(one, told, AT_ONCE, counted)
        try:
            found = prove_rows(asked, heard, sigma=sigma, radii=radii)
        except RefusedError as refused:
            raise refused.why from None
    found.certifier, found.subject = one, subject
    if isinstance(heard, Drawn):
        return Answer(found, heard.drawn / max(heard.rows, 1))
    fixed = getattr(one, "samples", 0) + getattr(one, "selection", 0)
    return Answer(found, fixed if sigma else 0)


def _kept(
    pieces: Path | None, subject: Subject, method: Certifier, sigma: float | None
) -> AbstractContextManager[Keeper | None]:
    """A folder for this command alone, which goes when the command has ended well."""
    if pieces is None:
        return nullcontext()
    threats = [t.spec for t in subject.threats]
    whole = ["certify", subject.model, subject.batches, repr(method), sigma, threats, subject.seed]
    return resumed(pieces / digest([*whole, foreign_digest(method)]), None, _nobody)


def _nobody(subject: Subject) -> None:
    """Other processes do not help."""


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
