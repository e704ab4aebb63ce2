"""A classifier made of an image tower and what classes are called."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ZeroShot(nn.Module):
    """Logits are scaled cosines between an image and the text of every class.

    Trained with `objective:pgd-at` it is TeCoA: a tower tuned on the names of classes.

    Args:
        tower: images to embeddings `(B, d)`.
        texts: `(K, d)` embedding of each class, the mean over its prompts; not trained.
        scale: of the cosines.
    """

    texts: Tensor

    def __init__(self, tower: nn.Module, texts: Tensor, scale: float = 20.0) -> None:
        super().__init__()
        self.tower, self.scale = tower, scale
        self.register_buffer("texts", F.normalize(texts.detach(), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, K)` logits."""
        z: Tensor = self.scale * F.normalize(self.tower(x), dim=1) @ self.texts.T
        return z
