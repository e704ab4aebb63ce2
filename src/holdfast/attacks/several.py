"""Several language models as one, for an attack that has to serve them all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.goal import logits


class Several(nn.Module):
    """Models that read the same tokens, side by side: the positions of one follow the other's.

    With the goal `Says.by_all` a row is won where every model says the target, and what is
    climbed is the mean of their losses; so `attack:gcg` finds changes, also one change for all
    rows, that serve all of them and hand over better to models that were not asked.

    Args:
        models: at least one; each ids `(B, L)` to logits `(B, T, V)`, or `(B, V)` of the next
            token. They share the vocabulary.

    Raises:
        ConfigError: without models.

    Cost: a pass of each model per pass.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ConfigError(
                "Several: needs at least one model",
                fix="Pass at least one model: Several(model).",
            )
        self.models = nn.ModuleList(models)

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, n T, V)`: the logits of all positions of the first model, then of the next.

        Raises:
            ShapeError: if the models know different numbers of tokens.
        """
        found = [logits(model(ids)) for model in self.models]
        found = [z[:, None] if z.dim() == 2 else z for z in found]
        if len({z.shape[2] for z in found}) > 1:
            raise ShapeError(
                f"Several: vocabularies of {[z.shape[2] for z in found]} tokens",
                fix="Take models that share a tokenizer.",
            )
        return torch.cat(found, 1)
