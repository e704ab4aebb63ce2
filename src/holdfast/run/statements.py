"""Asks certifiers about the rows that are safe so far, and puts their answers together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.ops.batch import chunks
from holdfast.run.agreement import covers

CERTIFIED_AT_ONCE = 128


def statements(
    model: Model, x: Tensor, goal: Goal, threat: Threat, certifiers: Sequence[Certifier | str],
    *, dice: Dice, safe: Tensor,
) -> tuple[list[Certificate], list[str]]:  # fmt: skip
    """What each certifier says of the rows that are safe without a change and not proved yet.

    What one has proved for certain, of this function and all of the threat, the later and dearer
    ones are not asked again: they claim nothing there.

    Args:
        model: the function under test.
        x: `(B, ...)` inputs.
        goal: with B rows.
        threat: the admissible changes.
        certifiers: asked one after the other; those that cannot answer leave a note.
        dice: of the B rows.
        safe: `(B,)` bool, rows to be asked about; of the others nothing is claimed.

    Returns:
        One certificate of all rows per certifier that answered, and the notes.

    Raises:
        ShapeError: if a certifier returns anything but one number per row.
    """
    said: list[Certificate] = []
    notes: list[str] = []
    left = safe.nonzero().flatten()
    for one in certifiers:
        if not len(left) and said:
            break
        certifier = resolve(one)
        own, parts = dice.spawn(repr(certifier)), []
        try:
            with quiet(model):
                for p in chunks(len(left), CERTIFIED_AT_ONCE):
                    i = left[p]
                    parts.append(
                        _checked(
                            certifier(model, x[i], goal.take(i), threat.take(i), dice=own.part(i)),
                            len(i),
                            certifier,
                        )
                    )
        except Unsupported as refusal:
            notes.append(f"{type(certifier).__name__}: {refusal.says}")
            continue
        if parts:
            said.append(_joined(parts, threat, left, len(x)))
            if covers(said[-1], model, threat) and said[-1].confidence == 1:
                left = left[~said[-1].proved.to(left.device)[left]]
    return said, notes


def _checked(said: Certificate, count: int, certifier: Certifier) -> Certificate:
    """A certificate about as many rows as were asked about."""
    for what, value in (("margins", said.margin), ("radii", said.radius)):
        if value is not None and value.shape != (count,):
            raise ShapeError(
                f"{type(certifier).__name__} returned {what} {tuple(value.shape)} for {count} rows",
                fix="Return one number per row.",
            )
    return said


def _joined(parts: Sequence[Certificate], threat: Threat, rows: Tensor, count: int) -> Certificate:
    """One certificate of all rows; nothing is claimed of those that were not asked about."""
    first = parts[0]
    margin = torch.cat([c.margin for c in parts])
    margin = margin.new_full((count,), torch.inf).index_copy(0, rows.to(margin.device), margin)
    radius = None
    if all(c.radius is not None for c in parts):
        known = torch.cat([c.radius for c in parts if c.radius is not None])
        radius = known.new_zeros(count).index_copy(0, rows.to(known.device), known)
    whole = threat if all(c.threat.spec == threat.spec for c in parts) else first.threat
    confidence = min(c.confidence for c in parts)
    return Certificate(first.about, whole, margin, radius, confidence, min(c.mass for c in parts))
