"""Low-rank layers kept well conditioned while they are trained."""

from __future__ import annotations

from typing import Literal

from holdfast.core.catalog import register
from holdfast.core.fields import NonNegative, settings
from holdfast.core.kinds import Hook, Run
from holdfast.layers.low_rank import LowRank


@register("hook", cites="condlr", name="condlr", says="Keep low-rank layers well conditioned.")
@settings
class Conditioned(Hook):
    """CondLR: after each step, low-rank layers are put back among the well conditioned ones.

    U and V become orthonormal again and the singular values of S are brought within `1 + spread`
    of each other, so the condition number of the whole matrix is at most that. What a layer can
    blow up of the relative change of its input is its condition number; that of a net is at most
    the product over its layers (times what its activations add), which ordinary low-rank training
    lets explode. Momentum is not carried along with the factors. Layers that are not `LowRank`
    (`rewrite:low-rank` makes them) are left alone.

    Unlike the paper: the gradient is the plain one of the factors and the step is put back onto
    the orthonormal ones (the retraction of its reference code), not first projected on their
    tangents; and layers of full rank are never touched.

    Cost: per step two QR decompositions and one SVD of r numbers per layer.

    Args:
        spread: how far the condition number may exceed 1.
        mode: clamp the singular values to a `band` about their mean, or make all equal (`mean`).
    """

    spread: NonNegative = 0.1
    mode: Literal["band", "mean"] = "band"

    def stepped(self, run: Run) -> None:
        for module in run.model.modules():
            if isinstance(module, LowRank):
                module.orthonormalise()
                if self.mode == "band":
                    module.narrow(self.spread)
                else:
                    module.level()
