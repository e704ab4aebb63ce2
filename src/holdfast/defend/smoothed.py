"""Gaussian smoothing: the model answers with the class that most noisy copies vote for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, NonNegative
from holdfast.core.goal import logits
from holdfast.core.kinds import Model

NUMBERS = 2**22  # input numbers per forward pass


def ballots(z: Tensor) -> Tensor:
    """The votes `(..., K)` of logits `(..., K)`: True at the largest one.

    Where two are largest, or one is not finite, nobody gets the vote.
    """
    best = z == z.amax(-1, keepdim=True)
    valid = (best.sum(-1, keepdim=True) == 1) & z.isfinite().all(-1, keepdim=True)
    return best & valid


@dataclass(frozen=True, eq=False)
class Smoothed:
    """The classifier `argmax_c P[base(x + e) = c]` with normal noise e, estimated by sampling.

    The noise is drawn once per seed and is the same for every input, so that the outputs are a
    deterministic function of the input alone, whatever the batch, and can be attacked as a whole.
    What `certifier:smoothing` certifies is the limit of infinitely many samples.

    Args:
        base: the model that votes.
        sigma: standard deviation of the noise, in the unit of the input; 0 gives the base itself.
        samples: noisy copies per input.
        seed: of the noise.
    """

    base: Model
    sigma: float
    samples: int
    seed: int = 0

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """`(samples, *shape)`: the noise of every copy."""
        dice = Dice(self.seed, torch.arange(self.samples), "smoothed")
        return self.sigma * dice.normal(shape, device=like.device, dtype=like.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Log-frequencies of the classes `(B, ..., K)`, with one added to each count.

        Their gradient is that of the log of the mean probability, since votes have none.
        """
        if self.sigma == 0:
            return logits(self.base(x))
        noise = self.noise(tuple(x.shape[1:]), x)
        size = max(1, NUMBERS // max(1, x.numel()))
        votes, shares = [], []
        for part in noise.split(size):
            copies = (x[:, None] + part).flatten(0, 1)
            z = logits(self.base(copies)).unflatten(0, (len(x), len(part)))
            votes.append(ballots(z).sum(1))
            shares.append(z.softmax(-1).sum(1))
        counts = torch.stack(votes).sum(0).to(x.dtype)
        share = torch.stack(shares).sum(0) / self.samples
        hard = ((counts + 1) / (self.samples + counts.shape[-1])).log()
        soft = share.clamp(min=torch.finfo(x.dtype).tiny).log()
        return hard + (soft - soft.detach()) if soft.requires_grad else hard


@register(
    "defence",
    cites="randomized-smoothing",
    says="Answers with the class that most Gaussian noisy copies of the input vote for.",
)
def smoothed(
    model: Model, *, sigma: NonNegative = 0.25, samples: Count = 64, seed: int = 0
) -> Smoothed:
    """Surrounds a model with Gaussian noise and lets the copies vote.

    The votes change by a bounded amount when the input moves, whatever the model does: that is
    what makes a certified L2 radius possible.

    Args:
        model: the model that votes, in eval mode; best trained on inputs with the same noise.
        sigma: standard deviation of the noise, in the unit of the input; 0 is the model itself.
        samples: noisy copies per input.
        seed: of the noise.

    Raises:
        ConfigError: for a negative sigma or no samples.

    Cost: `samples` forward passes per row.
    """
    if not 0 <= sigma < float("inf") or samples < 1:
        raise ConfigError(
            f"smoothed: needs sigma >= 0 and samples >= 1, got {sigma} and {samples}",
            fix="Use smoothed(model, sigma=0.25, samples=64).",
        )
    return Smoothed(model, sigma, samples, seed)
