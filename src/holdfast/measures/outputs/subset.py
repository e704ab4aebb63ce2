"""Accuracy with only some classes allowed, and what is lost from one set of rows to another."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.goal import Outputs, logits
from holdfast.core.records import Reading
from holdfast.measures.outputs.labelled import labelled
from holdfast.run.reading import proportion


def subset_logits(z: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Logits `(..., k)` of some classes, in the order given.

    Raises:
        ConfigError: for no class, one that does not exist, or one named twice.
    """
    if (
        not classes
        or len(set(classes)) < len(classes)
        or not 0 <= min(classes) <= max(classes) < z.shape[-1]
    ):
        raise ConfigError(
            f"subset: classes must differ and lie in [0, {z.shape[-1]}), got {classes[:8]}",
            fix="Give each class once, by its number among the outputs.",
        )
    return z[..., list(classes)]


@register("measure", cites="imagenet-r-deepaugment")
def subset_accuracy(
    outputs: Outputs,
    y: Tensor,
    *,
    classes: tuple[int, ...] = (),
    alpha: float = 0.05,
    name: str = "subset.accuracy",
) -> Reading:
    """Accuracy of a model of many classes on rows of some of them, with the others ruled out.

    So that a model is not blamed for answers that the set of rows does not know: renditions of 200
    classes of a thousand. Rows of other classes do not count.

    Args:
        outputs: logits `(..., K)`, classes last.
        y: `(...)` labels; -100 does not count.
        classes: those that are allowed; empty for all.
        alpha: the interval covers with probability at least 1 - alpha.
        name: of the reading.

    Raises:
        ConfigError: for a class that does not exist.
        ShapeError: if outputs and labels do not fit.
    """
    z = logits(outputs)
    kept = classes or tuple(range(z.shape[-1]))
    place = torch.full((z.shape[-1],), -100, device=y.device)
    few = subset_logits(z, kept)
    place[list(kept)] = torch.arange(len(kept), device=y.device)
    known = torch.where((y >= 0) & (y < z.shape[-1]), place[y.clamp(0, z.shape[-1] - 1)], -100)
    rows = labelled(few, known)
    return proportion(name, int(rows.correct.sum()), len(rows.y), alpha=alpha, flags=rows.flags)


def rendition_gap(usual: Reading, shifted: Reading, name: str = "subset.gap") -> Reading:
    """Accuracy lost from usual rows to others of the same classes.

    Both accuracies should be restricted to the same classes. The interval is that of the difference
    of two independent estimates: their half-widths add as squares.

    Args:
        usual: accuracy where the model learned.
        shifted: accuracy on renditions.
        name: of the reading.
    """
    gap = usual.value - shifted.value
    down = ((usual.value - usual.low) ** 2 + (shifted.high - shifted.value) ** 2) ** 0.5
    up = ((usual.high - usual.value) ** 2 + (shifted.value - shifted.low) ** 2) ** 0.5
    return Reading(name=name, value=gap, low=gap - down, high=gap + up,
                   n=min(usual.n, shifted.n), better="lower")  # fmt: skip
