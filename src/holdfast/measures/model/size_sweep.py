"""Accuracy by the size of test images: objects look smaller and larger than in training."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from holdfast.core.data import Batch, Batches
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside
from holdfast.measures.model.variants import Change, Variants, answered
from holdfast.ops.resize import resized

SIZES = (0.7, 0.85, 1.15, 1.3, 1.5)  # of test images, as shares of those of training


def _at_size(batch: Batch, share: float) -> Batch:
    x: Tensor = batch.x  # type: ignore[assignment]
    return batch._replace(x=resized(x, share).clamp(0, 1))


def size_sweep(
    vision: Model,
    batches: Batches,
    *,
    shares: tuple[float, ...] = SIZES,
    alpha: float = 0.05,
    name: str = "size",
) -> Variants:
    """Asks a model about its images at other sizes, which show objects smaller and larger.

    Random crops make objects look larger in training than they are in whole images; a model that
    pools over places can win by tests at about 1.3 times the size, without being changed.

    Args:
        vision: a model of images of any size.
        batches: labelled images `(B, C, H, W)` in [0, 1].
        shares: of each side; the images as they are come first, as `native`.
        alpha: intervals over the rows cover with probability about 1 - alpha.
        name: prefix of the readings.

    Returns:
        What is right at each size.

    Raises:
        ConfigError: for a share of 0 or less.
        Unsupported: if the inputs are not images, or the model takes only one size.
        ShapeError: without rows.

    Cost: one forward pass per row and share, and one more; larger images cost more.
    """
    inside("(0, inf)", name, shares=shares)
    changes: dict[str, Change] = {"native": lambda batch: batch}
    changes |= {f"{s:.3g}": partial(_at_size, share=s) for s in shares}
    try:
        return answered(vision, batches, changes, name=name, alpha=alpha)
    except RuntimeError as error:
        raise Unsupported(
            f"{name}: the model takes images of one size only ({error})",
            fix="Give a model that pools over places before it decides.",
        ) from error
