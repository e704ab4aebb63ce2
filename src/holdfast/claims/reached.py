"""An ascent against a closed form: it comes up to it, and never goes beyond."""

from __future__ import annotations

from torch import Tensor

from holdfast.claims.harness import Trial
from holdfast.run.search import Found

EXACT, BEYOND = 1e-6, 1e-9  # how far from the truth, and how far above it, a margin may lie


def reached(found: Found, truth: Tensor, untouched: bool) -> Trial:
    """Whether the margins of a search are those of the closed form, row by row.

    A row leaves as soon as it is broken, so the margin itself is compared on the others.

    Args:
        found: by the search.
        truth: `(B,)` the worst margin of each row.
        untouched: whether the model is as before.
    """
    over = float((found.margin - truth).max())
    off = (found.margin - truth).abs()[~found.broken]
    gap = float(off.max()) if len(off) else 0.0
    decided = bool((found.broken == (truth >= 0)).all())
    holds = untouched and decided and over <= BEYOND and gap <= EXACT
    return Trial(max(over, gap), EXACT, holds)
