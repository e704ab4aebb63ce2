"""How far filters are from being orthonormal, as a penalty."""

from __future__ import annotations

from torch import Tensor

from holdfast.compress.orthonormal import deviation
from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.kinds import Objective, Run


@register(
    "objective", cites="orthonormality-modulation", name="orthonormal",
    says="How far the filters of every layer are from being orthonormal.",
)  # fmt: skip
@settings
class Orthonormality(Objective):
    """Half the sum over layers of `|W W^T - I|^2`, rows being filters: a penalty on weights.

    Layers with orthonormal filters keep the length of what passes through them forwards and
    backwards, so that very deep nets without shortcuts can be trained. It takes the place of
    weight decay, with a weight of about 1e-4 in `objective:penalized`. Every row gets the same
    number. Start from `hook:orthonormal-start`.

    Cost: a product of each weight with itself.
    """

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return deviation(run.model).expand(len(batch.index))
