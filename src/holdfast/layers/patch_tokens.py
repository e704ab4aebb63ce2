"""Learned vectors added to the patches of a frozen transformer."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, ShapeError


class PatchTokens(nn.Module):
    """A block of a transformer, before which a learned vector is added to every patch.

    The vectors start at zero, so that nothing changes until they are trained.

    Args:
        block: takes `(B, T, d)` first, and whatever else it is called with.
        patches: number of patches, at the end of the T tokens.
        width: d.

    Raises:
        ShapeError: in the forward pass, if the inputs have another form.
    """

    def __init__(self, block: nn.Module, patches: int, width: int) -> None:
        super().__init__()
        like = next(block.parameters(), torch.zeros(0))
        self.block = block
        self.tokens = nn.Parameter(
            torch.zeros(patches, width, device=like.device, dtype=like.dtype)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's output on moved patches; leading tokens (class, registers) stay."""
        count, width = self.tokens.shape
        if x.dim() != 3 or x.shape[1] < count or x.shape[2] != width:
            raise ShapeError(
                f"PatchTokens: needs (B, P, {width}) with {count} patches or more, got "
                f"{tuple(x.shape)}",
                fix="Place it where patches pass, or build it for so many patches of this width.",
            )
        first = x.shape[1] - count
        moved: Tensor = self.block(torch.cat([x[:, :first], x[:, first:] + self.tokens], 1))
        return moved


def with_patch_tokens(
    model: nn.Module, blocks: Sequence[str], patches: int, width: int
) -> nn.Module:
    """A copy of a transformer with learned vectors before some blocks; nothing else is trained.

    Args:
        model: any model; it stays as it is.
        blocks: names of the modules that take `(B, T, d)`.
        patches: number of patches, at the end of the T tokens.
        width: d.

    Raises:
        ConfigError: if the model has no module of a name.

    Unlike the paper: which blocks are given tokens is the caller's choice.
    """
    copy = deepcopy(model).requires_grad_(False)
    known = dict(copy.named_modules())
    for name in blocks:
        if not name or name not in known:
            raise ConfigError(
                f"with_patch_tokens: the model has no module {name!r}",
                fix="Give names from model.named_modules(), such as "
                f"{next((n for n in known if n), 'none')!r}.",
            )
        parent, _, own = name.rpartition(".")
        setattr(known[parent], own, PatchTokens(known[name], patches, width))
    return copy
