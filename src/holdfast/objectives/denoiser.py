"""Training a denoiser for a classifier that stays as it is."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.fields import Count, Ingredient, Positive, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model, Objective, Run
from holdfast.core.quiet import quiet
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.adversarial import tensor_of
from holdfast.ops.zeroth_order import coordinate_gradient, direction_gradient


def front(x: Tensor) -> Tensor:
    """The first three numbers of a row, as logits: the classifier of the laws."""
    return x[:, :3]


def noisy(run: Run, x: Tensor, sigma: float) -> Tensor:
    """A noisy copy of each row."""
    noise = run.dice.spawn("denoiser").normal(x.shape[1:], device=x.device, dtype=x.dtype)
    return x + sigma * noise


def answers(classifier: Model | None, x: Tensor, who: str) -> Tensor:
    """The classes that a frozen classifier gives to clean inputs.

    Raises:
        ConfigError: without a classifier.
    """
    if classifier is None:
        raise ConfigError(f"{who} needs the classifier", fix="Pass classifier=model.")
    with quiet(classifier), torch.no_grad():
        return logits(classifier(x)).argmax(-1)


@register(
    "objective",
    name="denoiser",
    cites="denoised-smoothing",
    says="Trains a denoiser so that a frozen classifier keeps its clean answers on noisy inputs.",
)
@settings
class DenoiserLoss(Objective):
    """Trains the run's model to undo noise, for pixels, for a classifier, or for both.

    `pixels` is the squared distance to the clean input. `answers` is the cross-entropy of the
    classifier behind the denoiser with what it says of the clean input: only that counts for the
    votes of a smoothed model. The paper first trains on pixels and then on answers. Labels are
    never used, and the classifier gets no gradient but passes it on.

    Cost: one forward pass of the denoiser, and for answers two of the classifier.

    Args:
        classifier: frozen, in eval mode, differentiable; needed for answers.
        loss: what is asked of the denoiser.
        sigma: standard deviation of the noise, in the unit of the inputs.
    """

    classifier: Ingredient[Model] = ingredient()
    loss: Literal["pixels", "answers", "both"] = "pixels"
    sigma: Positive = 0.25

    @classmethod
    def example(cls, world: Any) -> DenoiserLoss:
        """For a classifier that reads three numbers, for the laws."""
        return cls(classifier=front, loss="answers")

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        made = logits(run.model(noisy(run, x, self.sigma)))
        total = torch.zeros(len(x), dtype=made.dtype, device=made.device)
        if self.loss != "answers":
            if made.shape != x.shape:
                raise ShapeError(
                    f"denoiser: answers {tuple(made.shape)} for inputs {tuple(x.shape)}, not of "
                    "one shape",
                    fix='Give a model that returns inputs cleaned, or loss="answers" for a '
                    "classifier.",
                )
            total = total + (made - x).square().flatten(1).mean(1)
        if self.loss != "pixels":
            target = answers(self.classifier, x, "DenoiserLoss")
            with quiet(self.classifier):
                z = logits(self.classifier(made))  # type: ignore[misc]
            total = total + cross_entropy(z, target)
        return total


@register(
    "objective",
    name="queried-denoiser",
    cites="zo-ae-ds",
    says="Trains a denoiser for a black box by asking it questions, in a small code.",
)
@settings
class QueriedDenoiser(Objective):
    """Trains the run's model before a classifier that answers but passes no gradient.

    The run's model turns a noisy input into a code z, which the classifier reads through
    `decoder`. The gradient of the loss with respect to z is estimated from values and handed to
    the model as if it had come from the classifier; from there on the chain rule is exact. Central
    differences along each coordinate are nearly exact and cost `2 d` questions, which is why the
    code should be small: train an autoencoder, give its decoder here, and put its encoder behind
    the denoiser. Random directions cost what one likes, with a spread that grows with d.

    Cost: one forward pass of the model; `2 d + 2`, or `queries + 3`, of the black box.

    Unlike the published code, differences along coordinates are summed as the chain rule says,
    not averaged.

    Args:
        classifier: the black box, inputs -> logits; only called, never differentiated.
        decoder: codes -> inputs of the classifier, frozen; none if the code is the input.
        along: every coordinate of the code, or random directions.
        queries: random directions per row.
        step: of the differences, in the unit of the code.
        sigma: standard deviation of the noise, in the unit of the inputs.
    """

    classifier: Ingredient[Model] = ingredient()
    decoder: Ingredient[Model] = ingredient()
    along: Literal["coordinates", "directions"] = "coordinates"
    queries: Count = 32
    step: Positive = 0.005
    sigma: Positive = 0.25

    @classmethod
    def example(cls, world: Any) -> QueriedDenoiser:
        """For a black box that reads three numbers, for the laws."""
        return cls(classifier=front)

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        x = tensor_of(batch)
        target = answers(self.classifier, x, "QueriedDenoiser")
        code = logits(run.model(noisy(run, x, self.sigma)))
        flat = code.flatten(1)
        with quiet(self.classifier, self.decoder), torch.no_grad():

            def values(z: Tensor) -> Tensor:
                seen = z.view(-1, *code.shape[1:])
                seen = seen if self.decoder is None else logits(self.decoder(seen))
                asked = target.repeat_interleave(len(z) // max(len(target), 1))
                return cross_entropy(logits(self.classifier(seen)), asked)  # type: ignore[misc]

            here = flat.detach()
            slope = self._slope(values, here, run)
            loss = values(here)
        pulled = (flat * slope).sum(1)
        return loss + pulled - pulled.detach()

    def _slope(self, values: Any, z: Tensor, run: Run) -> Tensor:
        """The estimated gradient `(B, d)` of each row's loss."""
        if self.along == "coordinates":
            return coordinate_gradient(values, z, self.step)
        dice = run.dice.spawn("directions")
        raw = dice.normal((self.queries, z.shape[1]), device=z.device, dtype=z.dtype)
        return direction_gradient(values, z, self.step, torch.nn.functional.normalize(raw, dim=-1))
