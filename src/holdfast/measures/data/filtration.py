"""Hard test sets out of a pool: the rows on which given models fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError
from holdfast.core.fields import Natural, Share
from holdfast.core.goal import Outputs, logits
from holdfast.core.inputs import some_models
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.measures.outputs.reliability import Binning, Reliability, reliability
from holdfast.run.forward import outputs as answers
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Filtered:
    """Rows that all filtering models get wrong.

    Args:
        rows: `(m,)` positions in the pool.
        pool: rows with a label that there were.
        alpha: of the interval.
        name: of the reading.
    """

    rows: Tensor
    pool: int
    alpha: float
    name: str

    def readings(self) -> tuple[Reading, ...]:
        """Share of the pool that is kept; the accuracy of the models themselves is 0 by design."""
        return (proportion(self.name, len(self.rows), self.pool, better="neither",
                           alpha=self.alpha),)  # fmt: skip


@register("measure", cites="imagenet-a-o")
def adversarial_filtration(
    models: Sequence[Model],
    batches: Batches,
    *,
    most: Share = 0.15,
    per_class: Natural = 0,
    alpha: float = 0.05,
    name: str = "filtration.kept",
) -> Filtered:
    """Keeps the labelled rows that every given model gets wrong, and is sure not to be right about.

    What it says about these models is nothing: they fail on all rows by design. The set is a test
    of others; only their accuracy on it, against that on the pool, says whether the rows are
    hard. Wrong labels are kept as well as hard rows, so look at what was kept.

    Args:
        models: the filter; a row must fool all of them.
        batches: the pool, with labels.
        most: largest probability that any of them may give to the label.
        per_class: keep at most so many rows of a class, the least probable labels first; 0: all.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.

    Raises:
        ConfigError: for a probability outside [0, 1].
        ShapeError: without models, or if no row is labelled.

    Cost: one forward pass per model and row.
    """
    some_models(models, name)
    inside("[0, 1]", name, most=most)
    y = batches.y.cpu()
    known = y != UNLABELLED
    if y.dim() != 1 or not bool(known.any()):
        raise ShapeError(
            f"{name}: the pool needs rows with one label each, got labels {tuple(y.shape)}",
            fix="Give labels (B,) of which at least one is not -100.",
        )
    keep, top = known.clone(), torch.zeros(len(y), dtype=torch.float64)
    for model in models:
        z = logits(answers(model, batches.x)).double().cpu()
        own = z.softmax(1).gather(1, y.clamp(min=0)[:, None]).squeeze(1)
        # A row on which a model breaks down says nothing about how hard it is.
        keep &= (z.argmax(1) != y) & z.isfinite().all(1)
        top = top.maximum(own.nan_to_num(1.0))
    keep &= top < most
    rows = keep.nonzero().flatten()
    if per_class:
        order = top[rows].argsort(stable=True)
        own_class = torch.nn.functional.one_hot(y[rows][order])
        place = (own_class.cumsum(0) * own_class).sum(1)
        rows = rows[order][place <= per_class].sort().values
    return Filtered(rows, int(known.sum()), alpha, name)


def ood_filtration(model: Model, batches: Batches, least: float = 0.5) -> Tensor:
    """`(m,)` rows, of no class the model knows, to which it gives a class with confidence.

    Args:
        model: the filter.
        batches: rows of unknown classes.
        least: smallest largest probability.

    Cost: one forward pass per row.
    """
    z = logits(answers(model, batches.x)).double()
    return (z.softmax(1).amax(1) >= least).nonzero().flatten().cpu()


def restricted(outputs: Outputs, classes: Tensor) -> Tensor:
    """Logits `(..., len(classes))` of some classes, before any softmax: a test of a subset.

    Labels are then positions in `classes`.
    """
    z = logits(outputs)
    return z[..., classes.to(z.device)]


@register("measure", cites="imagenet-a-o")
def rms_calibration(
    outputs: Outputs,
    y: Tensor,
    *,
    rows: int = 100,
    draws: int = 200,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "calibration.rms",
) -> Reliability:
    """Root of the mean squared gap between confidence and accuracy in bins of 100 rows.

    `ece` by mass and root mean square, its number of bins taken from the number of rows. Unlike
    the published script, the last bin counts too.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        rows: in each bin, about.
        draws: bootstrap resamples.
        alpha: the interval aims at a coverage of 1 - alpha.
        seed: of the resamples.
        name: of the reading.

    Raises:
        ShapeError: if outputs and labels do not fit.
        ConfigError: for less than one row or draw.
    """
    inside("[1, inf]", name, rows=rows)
    found = labelled(outputs, y)
    bins = max(1, -(-len(found.kept().y) // rows))
    how = Binning(bins, "mass", "l2")
    return reliability(found, how, draws=draws, alpha=alpha, seed=seed, name=name)
