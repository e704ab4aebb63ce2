"""Do gradients point to where another class lies? Those of robust nets do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.run.reading import average


@register("measure", cites="robust-classifier-synthesis")
def gradient_alignment(
    model: Model,
    batches: Batches,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "gradients.aligned",
) -> Reading:
    """Mean cosine between the way a model sees to another class and the way there.

    The model's way is the input gradient that lowers the cross-entropy to the runner-up class;
    the way there leads from the mean of the row's own class to the mean of that class. Noise has
    a cosine of about 0.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one floating-point tensor; class means are theirs.
        alpha: the interval covers with probability about 1 - alpha.
        seed: of the bootstrap.
        name: of the reading.

    Raises:
        Unsupported: if the inputs are not one floating-point tensor, or the model has one class.
        ShapeError: without labelled rows.

    Cost: one forward and one backward per row.
    """
    one_tensor(batches.x, name, floating=True)
    known = batches.y != UNLABELLED
    if not bool(known.any()):
        raise ShapeError(
            f"{name}: no row of {len(batches.y)} has a label",
            fix="Give labels y, numbered from 0; -100 stands for no label.",
        )
    kept = batches.take(known.nonzero().flatten())
    flat, y = kept.whole.x.flatten(1), kept.y  # type: ignore[union-attr]
    found = []
    with quiet(model):
        for batch in kept:
            gradient, other = _way(model, batch.x, batch.y, name)  # type: ignore[arg-type]
            here, there = (_means(flat, y, c) for c in (batch.y, other))
            met = ((y[None] == other[:, None]).any(1)).to(gradient.device)
            cosine = F.cosine_similarity(gradient.flatten(1), there - here, dim=1)
            found.append(cosine[met].double().cpu())
    return average(name, torch.cat(found), unit="cosine", seed=seed, alpha=alpha)


def _way(model: Model, x: Tensor, y: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """The gradient that lowers the loss to the runner-up class, and that class."""
    with torch.enable_grad():
        moved = x.detach().clone().requires_grad_()
        z = logits(model(moved))
        if z.dim() != 2 or z.shape[1] < 2:
            raise Unsupported(
                f"{name} needs logits (B, K) of at least two classes, got {tuple(z.shape)}",
                fix="Give a model that returns logits (B, K), without a squeeze of its last axis.",
            )
        other = z.detach().scatter(1, y[:, None].to(z.device), -torch.inf).argmax(1)
        (gradient,) = torch.autograd.grad(-F.cross_entropy(z, other, reduction="sum"), moved)
    return gradient.detach(), other


def _means(flat: Tensor, y: Tensor, classes: Tensor) -> Tensor:
    """`(B, n)`: mean of the rows of the class of each row; 0 where it has none."""
    count = int(max(int(y.max()), int(classes.max()))) + 1
    sums = flat.new_zeros(count, flat.shape[1]).index_add(0, y.to(flat.device), flat)
    rows = y.bincount(minlength=count).clamp(min=1).to(flat)
    return (sums / rows[:, None])[classes.to(flat.device)]
