"""Training on labels."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Part, settings
from holdfast.core.kinds import Objective
from holdfast.run.loop import Training


@register("recipe", cites="good1952rational", says="Cross-entropy on the data as they are.")
@settings
class Standard(Training):
    """Standard training: least cross-entropy on the data as they are.

    The yardstick of every other recipe: same loop, same budget, no defence. All settings are
    those of `holdfast.run.loop.Training`.

    Cost: one forward and one backward pass over the data per epoch.
    """

    objective: Part[Objective] = "objective:supervised"
