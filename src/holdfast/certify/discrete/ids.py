"""Texts as token ids."""

from __future__ import annotations

from torch import Tensor

from holdfast.core.errors import ShapeError


def token_ids(ids: Tensor, who: str) -> None:
    """Raise unless these are whole numbers `(B, L)`.

    Args:
        ids: what was handed over as texts.
        who: asks; the message begins with it.

    Raises:
        ShapeError: naming what was found.
    """
    if ids.dim() != 2 or ids.is_floating_point():
        raise ShapeError(
            f"{who}: needs token ids (B, L), got {ids.dtype} {tuple(ids.shape)}",
            fix="Pass a batch of token ids: ids[None].long() for one text.",
        )
