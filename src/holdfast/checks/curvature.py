"""How sharp is it around the data and around the weights?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.given import model_of
from holdfast.checks.rows import sample
from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, settings
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Batches, Check, Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Figure, Finding, Severity, Subject
from holdfast.measures.model.lipschitz import local_lipschitz
from holdfast.measures.model.sharpness import curvature, sharpness
from holdfast.ops.batch import chunks
from holdfast.run.forward import outputs
from holdfast.run.reading import average


@register(
    "check", says="Margins, and the distance to the boundary that they promise to first order."
)
@settings
class Curvature(Check):
    """Margins, and the distance to the boundary that they promise to first order.

    `-margin / |gradient|_1` is the Linf distance at which a linear model of the margin reaches
    zero; the true boundary may be nearer (curvature) or farther. It is an estimate of geometry,
    not a bound. Beside it: the local Lipschitz constant of the logits, and, where the model is
    a module with weights, how much the loss rises when the weights move a little and the largest
    eigenvalue of its Hessian.

    Cost: one forward and one backward per row; about 90 of each per row of the small sample.

    Args:
        limit: at most so many rows, drawn once from the seed.
        few: rows for the Lipschitz constant and the landscape of the weights.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Why is it fragile?"
    section: ClassVar = "geometry"

    limit: Count = 500
    few: Count = 64
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 3.0 * min(n, self.limit) + 270.0 * min(n, self.few)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        model, x = model_of(subject), one_tensor(batches.x, "curvature")
        slope = _slopes(model, x, batches.y)
        margin = -Untargeted(batches.y)(outputs(model, x)).double()
        right = (margin > 0) & margin.isfinite() & (slope > 0)
        if not right.any():
            raise Unsupported(
                "no row is right with a finite gradient", fix="Give rows that the model gets right."
            )
        distance = (margin / slope)[right]
        found = average(
            "geometry.linear_distance",
            distance,
            unit="of the input range",
            seed=subject.seed,
            alpha=self.alpha,
        )
        steep = average(
            "geometry.slope",
            slope[right],
            unit="logits per unit of input",
            better="lower",
            seed=subject.seed,
            alpha=self.alpha,
        )
        median = float(distance.median())
        says = (
            f"To first order half of the rows that are right reach the boundary within "
            f"{median:.3g} (largest change of any coordinate, inputs in [0, 1])."
        )
        yield Finding(
            severity=Severity.INFO,
            says=says,
            readings=(found, steep),
            figures=(_histogram(distance, says),),
        )
        yield from self._around(model, sample(subject, self.few), subject.seed)

    def _around(self, model: Model, batches: Batches, seed: int) -> Iterator[Finding]:
        """Lipschitz constant, sharpness and the top of the Hessian's spectrum, where they exist."""
        slopes = local_lipschitz(
            model, batches, radius=0.05, samples=2, seed=seed, name="geometry.lipschitz"
        )
        middle, steep = slopes.readings()
        yield Finding(
            severity=Severity.INFO,
            says=f"Near half of the inputs the logits move {middle.value:.3g} times as far as the "
            "input (Euclidean), or farther.",
            readings=(middle, steep),
        )
        if not isinstance(model, torch.nn.Module) or not any(True for _ in model.parameters()):
            return
        rise = sharpness(model, batches, seed=seed, draws=2, name="geometry.sharpness")
        bend = curvature(model, batches, seed=seed, steps=12, draws=4, name="geometry.hessian")
        yield Finding(
            severity=Severity.INFO,
            says=f"Weights moved by 5% of their size can raise the loss by {rise.value:.3g} nats; "
            f"the loss curves by at most about {bend.top.value:.3g} in any direction.",
            readings=(rise, bend.top, bend.trace),
        )


def _slopes(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """`(B,)` L1 norm of the gradient of each row's margin."""
    parts = []
    with quiet(model), torch.enable_grad():
        for part in chunks(len(x), 256):
            rows = x[part].detach().clone().requires_grad_()
            try:
                (gradient,) = torch.autograd.grad(Untargeted(y[part])(model(rows)).sum(), rows)
            except RuntimeError as error:
                raise Unsupported(
                    "the model passes no gradient to its input",
                    fix="Give a model of differentiable steps: no argmax, rounding or detach.",
                ) from error
            parts.append(gradient.flatten(1).abs().sum(1).double().cpu())
    return torch.cat(parts)


def _histogram(distance: Tensor, says: str, bins: int = 24) -> Figure:
    top = float(distance.quantile(0.99)) or 1.0
    counts = torch.histc(distance.clamp(max=top), bins, 0, top)
    rows = tuple(
        {"left": k * top / bins, "right": (k + 1) * top / bins, "count": int(c)}
        for k, c in enumerate(counts.tolist())
    )
    return Figure(
        name="linear-distance",
        kind="histogram",
        title="First-order distance to the boundary",
        says=says,
        rows=rows,
        x="largest change of any coordinate (inputs in [0, 1])",
        y="rows",
    )
