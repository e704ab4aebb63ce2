"""Artefacts of magnetic resonance imaging, in volumes and in single slices."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.shifts.mri_artefacts import ARTEFACTS
from holdfast.shifts.published import Published, Row, on_images

Artefact = Literal[
    "motion", "ghosting", "herringbone", "susceptibility", "dropout", "interleaving",
    "chemical-shift", "gibbs", "bias-field", "noise",
]  # fmt: skip
STEPS = Published(none=(0.0,), tables={32: tuple((float(k),) for k in range(1, 6))})


@register("shift", cites="qcnet-3d", says="An artefact of magnetic resonance imaging.")
def mri_artifact(
    batch: Batch, severity: float, dice: Dice | None = None, *, kind: Artefact = "ghosting"
) -> Batch:
    """Simulates what goes wrong in a scanner, most of it where it happens: among frequencies.

    Args:
        batch: slices `(B, C, H, W)` or volumes `(B, C, D, H, W)` in [0, 1]; rows are the phase
            direction.
        severity: in [0, 1]; k / 5 is level k of five.
        dice: one row per volume.
        kind: `motion` while measuring, `ghosting`, `herringbone` (spikes), `susceptibility`,
            `dropout` of slices, `interleaving` (slices measured in turns; lines in an image),
            `chemical-shift`, `gibbs` ringing, `bias-field` or Rician `noise`.

    Raises:
        Unsupported: if the inputs are neither.
    """
    x, change = batch.x, ARTEFACTS[kind]
    if not isinstance(x, Tensor) or x.dim() != 5:
        return on_images(
            batch, severity, dice, f"mri-{kind}", STEPS, lambda v, r, d: change(v, r[0], d)
        )
    shape = x.shape

    def inner(flat: Tensor, row: Row, dice: Dice) -> Tensor:
        return change(flat.reshape(shape), row[0], dice).flatten(1, 2)

    out = on_images(batch._replace(x=x.flatten(1, 2)), severity, dice, f"mri-{kind}", STEPS, inner)
    return batch._replace(x=out.x.reshape(shape))  # type: ignore[union-attr]
