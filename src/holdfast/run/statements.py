"""Asks certifiers about the rows that are safe so far, and puts their answers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
Told = Callable[[int, int, int], None]  # rows asked about, of how many, how many of them proved


def statements(
    model: Model, x: Tensor, goal: Goal, threat: Threat, certifiers: Sequence[Certifier | str],
    *, dice: Dice, safe: Tensor, at_once: int = CERTIFIED_AT_ONCE, told: Told | None = None,
) -> tuple[dict[int, Certificate], list[str]]:  # fmt: skip
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
        at_once: rows that a certifier is asked about in one call.
        told: hears after each call how many rows were asked about and proved.

    Returns:
        By position in `certifiers`, one certificate of all rows of each that answered; the notes.

    Raises:
        ShapeError: if a certifier returns anything but one number per row.
    """
    said: dict[int, Certificate] = {}
    notes: list[str] = []
    left = safe.nonzero().flatten()
    for position, one in enumerate(certifiers):
        if not len(left) and said:
            break
        certifier = resolve(one)
        own, parts, done = dice.spawn(repr(certifier)), [], 0
        try:
            with quiet(model):
                for p in chunks(len(left), at_once):
                    i = left[p]
                    answer = certifier(model, x[i], goal.take(i), threat.take(i), dice=own.part(i))
                    parts.append(_checked(answer, len(i), certifier))
                    done += int(answer.proved.sum())
                    if told is not None:
                        told(sum(len(a.margin) for a in parts), len(left), done)
        except Unsupported as refusal:
            notes.append(f"{type(certifier).__name__}: {refusal.says}")
            continue
        if parts:
            said[position] = whole = _joined(parts, threat, left, len(x))
            if covers(whole, model, threat) and whole.confidence == 1:
                left = left[~whole.proved.to(left.device)[left]]
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
