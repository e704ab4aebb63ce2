"""A mixed classifier: probabilities of an accurate and of a robust model, added by weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Ingredient, Share, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Model


@dataclass(frozen=True, eq=False)
class Mixed:
    """The mixture `(1 - a) softmax(standard) + a softmax(robust)`, as logits.

    Args:
        standard: the accurate model.
        robust: the robust one.
        least: smallest weight a of the robust model.
        most: largest weight.
        mixer: inputs -> outputs, whose first number decides between the two; the weight is
            `most` everywhere without one.
    """

    standard: Model
    robust: Model
    least: float
    most: float
    mixer: Model | None = None

    def weight(self, x: Tensor) -> Tensor:
        """`(B, 1)`: the weight of the robust model on each row."""
        if self.mixer is None:
            return torch.full((len(x), 1), self.most, dtype=x.dtype, device=x.device)
        raw = logits(self.mixer(x)).flatten(1)[:, :1]
        return self.least + (self.most - self.least) * raw.sigmoid()

    def __call__(self, x: Tensor) -> Tensor:
        """Logarithm of the mixture `(B, K)`, shifted so that weights 0 and 1 give the models' own.

        A number added to all logits of a row changes no probability.
        """
        return blend(logits(self.standard(x)), logits(self.robust(x)), self.weight(x))


def blend(standard: Tensor, robust: Tensor, weight: Tensor) -> Tensor:
    """`(B, K)`: the mixture of two models' logits, mixed as probabilities.

    Args:
        standard: `(B, K)` logits.
        robust: `(B, K)` logits.
        weight: `(B, 1)` of the robust one, in [0, 1].
    """
    level, other = (z.logsumexp(-1, keepdim=True) for z in (standard, robust))
    parts = torch.log1p(-weight) + standard - level, weight.log() + robust - other
    return torch.logaddexp(*parts) + (1 - weight) * level + weight * other


@register(
    "defence",
    name="mixed",
    cites=("mixing-classifiers", "adaptive-smoothing"),
    says="Adds the probabilities of the model and of a robust one by weight.",
)
@settings
class Mixing:
    """Mixes an accurate model with a robust one, in probabilities.

    The robust model is sure where it is right and unsure where it is wrong, so that it decides
    attacked inputs and leaves clean ones to the accurate model. Where its winner leads by more
    than `(1 - a) / a` in probability on a whole ball, the mixture keeps that answer whatever the
    accurate model says there: see `certifier:mixed`. Weights of at most one half prove nothing.
    Logits must not be mixed: they have no largest lead.

    A mixing network may lower the weight where an input looks clean; it is trained by
    `objective:mixing` and is part of the model, to be attacked with it.

    Args:
        robust: the robust model, perhaps `smoothed`; the model itself unless given.
        weight: of the robust model; the largest one with a mixing network. At 0 the mixture is
            the model itself.
        span: share of the weight that the mixing network may take away.
        mixer: inputs -> outputs, the first number of which is large where the robust model is
            wanted.

    Cost: one forward pass of each model.
    """

    robust: Ingredient[Model] = ingredient()
    weight: Share = 0.8
    span: Share = 0.2
    mixer: Ingredient[Model] = ingredient()

    def __call__(self, model: Model) -> Mixed:
        """The mixture.

        Raises:
            ConfigError: with a mixing network and no span for it.
        """
        if self.mixer is not None and self.span == 0:
            raise ConfigError("Mixing: a mixing network needs a span", fix="Use span=0.2.")
        least = self.weight if self.mixer is None else self.weight * (1 - self.span)
        robust = model if self.robust is None else self.robust
        return Mixed(model, robust, least, self.weight, self.mixer)
