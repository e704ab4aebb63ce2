"""Variational dropout: every weight learns how noisy it may be, and the noisiest are left out."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.errors import Unsupported
from holdfast.core.ranges import inside

# Approximation of the divergence from a log-uniform prior, as published.
K1, K2, K3 = 0.63576, 1.87320, 1.48695
START = -8.0  # logarithm of the variance of a fresh weight
LIMIT = 3.0  # log alpha from which on a weight is noise
TINY = 1e-16


def divergence(log_alpha: Tensor) -> Tensor:
    """KL of a weight's distribution from the log-uniform prior, up to a constant.

    It falls to 0 as the noise outgrows the weight, and grows without bound as the noise vanishes.

    Args:
        log_alpha: logarithm of variance over squared mean.
    """
    return K1 - K1 * torch.sigmoid(K2 + K3 * log_alpha) + 0.5 * F.softplus(-log_alpha)


class Variational(nn.Module):
    """A linear or convolutional layer whose weights are normal with learned variances.

    In training the sums are drawn instead of the weights (the same distribution, and less noisy
    slopes): mean `W x`, variance `V x^2`. In evaluation the means alone are used.

    Args:
        inner: `nn.Linear` or `nn.Conv2d`; its weights become the means.
        rows: of the training set; the penalty is the divergence over them, as the bound on the
            likelihood has it.

    Raises:
        Unsupported: for another layer.
        ConfigError: for less than one row.
    """

    weight: Tensor

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__()
        if not isinstance(inner, nn.Linear | nn.Conv2d):
            raise Unsupported(
                f"Variational wraps nn.Linear or nn.Conv2d, got {type(inner).__name__}",
                fix="Wrap the linear layers and convolutions of a model one by one.",
            )
        inside("[1, inf]", "Variational", rows=rows)
        self.inner, self.rows = inner, rows
        self.log_variance = nn.Parameter(torch.full_like(inner.weight, START))
        self.register_buffer("weight", torch.ones(()))  # of the penalty; hook:anneal moves it

    @property
    def log_alpha(self) -> Tensor:
        """Logarithm of variance over squared mean, of each weight, within +-10."""
        size = (self.inner.weight.square() + TINY).log()
        return (self.log_variance - size).clamp(-10, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Draws in training, means in evaluation."""
        mean: Tensor = self.inner(x)
        if not self.training:
            return mean
        variance = self.log_alpha.exp() * self.inner.weight.square()
        state = {"weight": variance}
        if self.inner.bias is not None:
            state["bias"] = torch.zeros_like(self.inner.bias)
        spread: Tensor = functional_call(self.inner, state, (x.square(),))
        return mean + (spread + TINY).sqrt() * torch.randn_like(mean)

    def penalty(self) -> Tensor:
        """What the training loop adds to every loss."""
        return self.weight * divergence(self.log_alpha).sum() / self.rows


def variational(model: nn.Module, rows: int) -> nn.Module:
    """A copy of a model whose linear and convolutional layers are variational.

    Args:
        model: stays as it is.
        rows: of the training set.
    """
    return _replaced(
        copy.deepcopy(model),
        lambda m: Variational(m, rows) if isinstance(m, nn.Linear | nn.Conv2d) else None,
    )


def without_noise(model: nn.Module, limit: float = LIMIT) -> nn.Module:
    """A copy with ordinary layers, in which weights that are mostly noise are zero.

    Args:
        model: with variational layers; stays as it is.
        limit: largest log alpha of a weight that is kept.
    """

    def plain(m: nn.Module) -> nn.Module | None:
        if not isinstance(m, Variational):
            return None
        with torch.no_grad():
            m.inner.weight.mul_(m.log_alpha <= limit)
        return m.inner

    return _replaced(copy.deepcopy(model), plain)


def _replaced(model: nn.Module, by: object) -> nn.Module:
    made = by(model) if callable(by) else None
    if isinstance(made, nn.Module):
        return made
    for name, child in model.named_children():
        setattr(model, name, _replaced(child, by))
    return model
