"""How far a population moved: stability index, transport, and labels told from answers."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.errors import ShapeError


def rows_of(sample: Tensor, name: str) -> Tensor:
    """`(n, d)` float64: at least two finite rows, each flattened."""
    if sample.dim() < 1 or len(sample) < 2 or not sample[0].numel():
        raise ShapeError(
            f"{name}: needs at least two rows, got {tuple(sample.shape)}",
            fix="Give a tensor (n, ...) of two rows or more, each of one number at least.",
        )
    flat = sample.detach().double().reshape(len(sample), -1)
    if not bool(flat.isfinite().all()):
        raise ShapeError(f"{name}: a sample holds numbers that are not finite",
                         fix="Leave such rows out, and report how many there were.")  # fmt: skip
    return flat


def stability_index(sample: Tensor, reference: Tensor, bins: int = 10) -> Tensor:
    """`(d,)` population stability index: sum of (q - p) ln(q / p) over bins of each feature.

    Bins are quantiles of the reference; from 0.1 a change counts as noticeable, from 0.25 as
    large. Half a row is added to every bin, so that empty ones stay finite.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
        bins: number of bins.
    """
    a, b = rows_of(sample, "stability_index"), rows_of(reference, "stability_index")
    levels = torch.linspace(0, 1, bins + 1, dtype=b.dtype)[1:-1].to(b.device)
    edges = b.quantile(levels, dim=0).T.contiguous()
    shares = []
    for rows in (a, b):
        place = torch.searchsorted(edges, rows.T.contiguous())
        count = torch.zeros(len(edges), bins, dtype=b.dtype, device=b.device)
        count = count.scatter_add(1, place, torch.ones_like(place, dtype=b.dtype)) + 0.5
        shares.append(count / count.sum(1, keepdim=True))
    q, p = shares
    return ((q - p) * (q / p).log()).sum(1)


def transport(sample: Tensor, reference: Tensor) -> Tensor:
    """`(d,)` Wasserstein distance of each feature: area between the distribution functions.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
    """
    a, b = rows_of(sample, "transport"), rows_of(reference, "transport")
    both = torch.cat([a, b]).sort(0).values.T.contiguous()
    below = [
        torch.searchsorted(s.T.contiguous().sort(1).values, both[:, :-1].contiguous(), right=True)
        / len(s)
        for s in (a, b)
    ]
    return ((below[0] - below[1]).abs() * both.diff(dim=1)).sum(1)


def label_shift(predicted: Tensor, y: Tensor, new: Tensor, classes: int) -> Tensor:
    """`(K,)` how much more frequent each class has become, from predictions alone (BBSE).

    If classes look as before and only their shares have changed, then the shares of predictions
    are the confusion matrix times the ratios of new to old shares; its (pseudo-)inverse gives
    them. Negative ratios are set to zero.

    Args:
        predicted: `(n,)` predictions on rows with labels.
        y: `(n,)` labels of these.
        new: `(m,)` predictions on new rows.
        classes: number of classes.
    """
    if not len(y) or not len(new) or predicted.shape != y.shape:
        raise ShapeError(
            "label_shift: needs a prediction for each label of old rows, and new ones; "
            f"got {tuple(predicted.shape)} predictions, {tuple(y.shape)} labels, "
            f"{len(new)} new",
            fix="Give predicted and y of the same old rows, and the predictions of one new "
            "row at least.",
        )
    joint = torch.bincount(predicted * classes + y, minlength=classes**2).double() / len(y)
    mass = torch.bincount(new, minlength=classes).double() / len(new)
    found: Tensor = (torch.linalg.pinv(joint.view(classes, classes), rtol=1e-6) @ mass).clamp(min=0)
    return found
