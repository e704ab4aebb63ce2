"""Training of a private tracer beside a frozen classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Count, Ingredient, NonNegative, Positive, ingredient, settings
from holdfast.core.goal import Untargeted, logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model, Objective, Run
from holdfast.defend.traced import restless


@register(
    "objective", cites="attack-tracing", says="Silent on rows as they are, restless in noise."
)
@settings
class Tracer(Objective):
    """Trains the run's model as the tracer of a copy: harmless, silent, and sensitive to noise.

    The loss of a row is the cross-entropy of classifier plus tracer, plus the cosine between the
    tracer's logits on the row and on noisy copies of it, plus the squared length of its logits.
    The second term makes the tracer's reaction to small changes large and its own, so that the
    gradient of the copy is led by it; the others keep the task unharmed. The classifier gets no
    gradient.

    Cost: one forward pass of the classifier and `1 + samples` of the tracer.

    Unlike the paper, which does not print its loss: the terms are ours, with its intention.

    Args:
        base: the frozen classifier; without one the tracer is trained to be the classifier too.
        weight: of the tracer's logits in the copy.
        restless: weight of the cosine.
        silent: weight of the squared length.
        noise: standard deviation of the noise, in the unit of the inputs.
        samples: noisy copies per row.
    """

    base: Ingredient[Model] = ingredient()
    weight: Positive = 1.0
    restless: NonNegative = 1.0
    silent: NonNegative = 0.01
    noise: Positive = 0.05
    samples: Count = 4

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = one_tensor(batch.x, "Tracer", floating=True)
        draw = run.dice.spawn("tracer").normal(
            (self.samples, *x.shape[1:]), device=x.device, dtype=x.dtype
        )
        z, alike = restless(run.model, x, self.noise * draw.transpose(0, 1))
        copy = self.weight * z
        if self.base is not None:
            with torch.no_grad():
                copy = copy + logits(self.base(x))
        task = Untargeted(batch.y).soft(copy)
        return task + self.restless * alike + self.silent * z.square().sum(1)
