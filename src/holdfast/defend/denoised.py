"""Denoised smoothing: a denoiser before a classifier that was never trained on noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Ingredient, NonNegative, ingredient, settings
from holdfast.core.goal import Outputs
from holdfast.core.kinds import Model
from holdfast.defend.smoothed import Smoothed, smoothed

Denoiser = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A model that sees what a denoiser makes of its input.

    Args:
        base: the model.
        denoiser: noisy inputs to inputs of the model; it sees them unclipped.
    """

    base: Model
    denoiser: Denoiser

    def __call__(self, x: Tensor) -> Outputs:
        """The outputs of the model."""
        return self.base(self.denoiser(x))


@dataclass(frozen=True)
class Wiener:
    """The mean of each number given its noisy value, if numbers are normal and independent.

    Args:
        mean: of the clean numbers.
        deviation: of the clean numbers.
        sigma: of the noise.
    """

    mean: float
    deviation: float
    sigma: float

    def __call__(self, x: Tensor) -> Tensor:
        """The least-squares estimate of the clean input."""
        kept = self.deviation**2 / (self.deviation**2 + self.sigma**2)
        return self.mean + kept * (x - self.mean)


class OneStep:
    """A diffusion model as a denoiser: one step from the noise level of the input to clean.

    Diffusion models see `sqrt(a) x + sqrt(1 - a) e` with pixels in [-1, 1], where noise of
    deviation sigma has 2 sigma; so the step whose a satisfies `(1 - a) / a = 4 sigma^2` is the
    one whose inputs look like the noisy copies, scaled. One step estimates the mean of clean
    images; many steps would draw one of them, and lose the class more often.

    Args:
        noise: (scaled inputs, steps `(B,)`) -> the noise that it sees in them.
        kept: `(T,)` the falling shares a of the signal at each step, within (0, 1).
        sigma: standard deviation of the noise, in inputs from 0 to 1.

    Raises:
        ConfigError: where no step has at least nearly that much noise.
    """

    def __init__(self, noise: Callable[[Tensor, Tensor], Tensor], kept: Tensor, sigma: float):
        ratio = ((1 - kept.double()) / kept.double()).sqrt()
        self.noise, self.step = noise, int((ratio - 2 * sigma).abs().argmin())
        self.kept = float(kept[self.step])
        if not 0 < self.kept < 1 or float(ratio.max()) < 1.9 * sigma:
            raise ConfigError(
                f"OneStep: noise of {sigma} is beyond the last step, which has "
                f"{float(ratio.max()) / 2:.3g}",
                fix="Use a smaller sigma or a schedule that goes on to pure noise.",
            )

    def __call__(self, x: Tensor) -> Tensor:
        """The estimate of the clean input, in [0, 1]."""
        signal, rest = self.kept**0.5, (1 - self.kept) ** 0.5
        seen = signal * (2 * x - 1)
        steps = torch.full((len(x),), self.step, dtype=torch.long, device=x.device)
        clean = (seen - rest * self.noise(seen, steps)) / signal
        found: Tensor = (clean.clamp(-1, 1) + 1) / 2
        return found


@register(
    "defence",
    name="denoised",
    cites=("denoised-smoothing", "zo-ae-ds"),
    says="Puts a denoiser before a model, and Gaussian noise with a vote around both.",
)
@settings
class DenoisedSmoothing:
    """Makes a pretrained model certifiable without touching it.

    The smoothed certificate holds for any base, so for a denoiser with the model behind it too;
    a good denoiser only makes the votes agree. The model may be a black box. Denoisers are
    trained by `objective:denoiser`, or by queries alone by `objective:queried-denoiser`; a
    diffusion model serves as one through `OneStep`.

    Args:
        denoiser: noisy inputs -> inputs of the model.
        sigma: standard deviation of the noise, in the unit of the input; at 0 it is the model.
        samples: noisy copies per input.
        seed: of the noise.

    Cost: `samples` forward passes of denoiser and model per row.
    """

    denoiser: Ingredient[Denoiser] = ingredient()
    sigma: NonNegative = 0.25
    samples: Count = 64
    seed: int = 0

    @classmethod
    def example(cls, world: Any) -> DenoisedSmoothing:
        """With the best denoiser of normal numbers, for the laws."""
        return cls(denoiser=Wiener(0.5, 0.3, 0.25))

    def __call__(self, model: Model) -> Smoothed:
        """The smoothed model, to be certified by any certifier of smoothed models.

        Raises:
            ConfigError: without a denoiser.
        """
        if self.denoiser is None:
            raise ConfigError(
                "DenoisedSmoothing: needs a denoiser",
                fix="Pass denoiser=...; without one use smoothed(model).",
            )
        base = Cleaned(model, self.denoiser) if self.sigma else model
        return smoothed(base, sigma=self.sigma, samples=self.samples, seed=self.seed)
