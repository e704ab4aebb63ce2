"""A model of many classes, asked for some of them only."""

from __future__ import annotations

from torch import Tensor, nn, tensor

from holdfast.core.errors import ShapeError
from holdfast.core.goal import logits
from holdfast.core.kinds import Model


class Among(nn.Module):
    """The logits of some classes, in the order given: the others are ruled out.

    So that a model of a thousand classes is not blamed for answers that a benchmark of two hundred
    of them does not know. A model that has just so many outputs already is taken as it is.

    Args:
        model: the model inside.
        kept: its outputs that count, `(k,)` ascending.
    """

    kept: Tensor

    def __init__(self, model: Model, kept: tuple[int, ...]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("kept", tensor(kept), persistent=False)
        if not (isinstance(model, nn.Module) and model.training):
            self.training = False

    def forward(self, x: Tensor) -> Tensor:
        z = logits(self.model(x))
        if z.shape[-1] == len(self.kept):
            return z
        if z.shape[-1] <= int(self.kept[-1]):
            raise ShapeError(
                f"the model has {z.shape[-1]} outputs, and the classes of the data go up to "
                f"{int(self.kept[-1])}",
                fix="Give a model of all classes, or of those of the data.",
            )
        return z.index_select(-1, self.kept)
