"""Explains an answer by the neurons that a proof of it rests on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.reading.reader import read
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Part, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Explainer, Model, Readout, Threat
from holdfast.explain.inputs import start_of
from holdfast.explain.proof_sets import hidden, last_layers, proof_of
from holdfast.ops.derivative import gradient
from holdfast.threats.norms import LInf


@register(
    "explainer",
    cites="proof-features",
    says="The gradient of the neurons that suffice to prove the answer over a region.",
)
@settings
class ProofFeatures(Explainer):
    """Keeps the neurons of the last hidden layer that carry a proof, and shows what moves them.

    Over the region of a threat each of these neurons has an interval, and the last layer makes a
    proof of them. Few suffice: the kept neurons with their intervals still make the readout
    positive, and none of them can be left out. Their weighted sum is differentiated in the input
    and averaged over the region. Where nothing is proved all neurons are kept. A goal as readout
    is explained as its opposite: the proof that the adversary does not reach it.

    Args:
        threat: the region of the proof.
        intermediate: how intervals are found: `crown`, or cheaper `ibp`.
        samples: points of the region whose gradients are averaged; the first is the input.

    Cost: one CROWN pass to the last hidden layer, and a forward and a backward pass per sample.
    """

    threat: Part[Threat] = LInf(radius=2 / 255)
    intermediate: Literal["crown", "ibp"] = "crown"
    samples: Count = 1

    def __call__(
        self,
        model: Model,
        x: Tensor,
        readout: Readout,
        *,
        baseline: Tensor | None = None,
        dice: Dice | None = None,
    ) -> Tensor:
        start_of(x, None, "ProofFeatures")  # refuses what has no gradient
        if not len(x):
            return torch.zeros_like(x)
        graph, within, rows = read(model, x.detach()), resolve(self.threat), dice_or(dice, len(x))
        c, constant = _question(readout, graph(x.detach()))
        proof = proof_of(graph, x.detach(), c, constant, within, self.intermediate)
        place, kept = last_layers(graph), proof.kept[:, None]
        total = torch.zeros_like(x, dtype=torch.float64)
        for sample in range(self.samples):
            change = within.sample(x, rows.spawn(f"proof{sample}")) if sample else within.none(x)
            start = within.apply(x.detach(), change).double()

            def carried(leaf: Tensor) -> Tensor:
                worst = (hidden(graph, leaf, place)[:, None] * proof.weights * kept).sum(2)
                return (worst + proof.constant).amin(1)

            total += gradient(carried, start)
        return (total / self.samples).to(x.dtype)


def _question(readout: Readout, z: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, W, K)` and `(B, W)`: what is to be shown positive.

    Raises:
        Unsupported: if the readout is not linear in the logits.
    """
    if isinstance(readout, Goal):
        c, constant = readout.linear(z.shape[1])
        return -c.double(), -constant.double()
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_()
        value = readout(leaf)
        (c,) = torch.autograd.grad(value.sum(), leaf)
        constant = value.detach() - (c * z).sum(1)
    other = z.detach() * 2 - 1
    if not torch.allclose(readout(other), (c * other).sum(1) + constant, rtol=1e-6, atol=1e-6):
        raise Unsupported(
            "proof features explain readouts that are linear in the logits, or goals",
            fix="Explain one logit, a difference of two, or Untargeted(y).",
        )
    return c[:, None], constant[:, None]
