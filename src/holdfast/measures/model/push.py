"""Inputs pushed through a generator as far as oracles still see the same in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.goal import logits
from holdfast.core.inputs import with_slope
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.ops.batch import pick
from holdfast.run.forward import correct

Rule = Literal["majority", "mean", "all"]


class Codec(Protocol):
    """An image generator with its inverse: a VAE, an autoencoder, principal components."""

    def encode(self, x: Tensor) -> Tensor:
        """Latents of inputs, rows first."""

    def decode(self, z: Tensor) -> Tensor:
        """Inputs of latents; differentiable."""


class Pixels:
    """The codec that changes the inputs themselves."""

    def encode(self, x: Tensor) -> Tensor:
        """The inputs."""
        return x

    def decode(self, z: Tensor) -> Tensor:
        """The latents."""
        return z


def verdict(oracles: Sequence[Model], x: Tensor, y: Tensor, rule: Rule) -> Tensor:
    """`(B,)` bool: whether the oracles see the label, by vote or by mean probability.

    Args:
        oracles: models that judge.
        x: inputs.
        y: `(B,)` labels.
        rule: `majority`, `all`, or `mean` for the answer of the mean probability.

    Cost: one forward pass of each oracle.
    """
    with torch.no_grad():
        seen = [logits(oracle(x)).double() for oracle in oracles]
    if rule == "mean":
        return correct(torch.stack([z.softmax(1) for z in seen]).mean(0), y)
    votes = torch.stack([correct(z, y) for z in seen]).sum(0)
    return votes == len(seen) if rule == "all" else 2 * votes > len(seen)


@dataclass(frozen=True, eq=False)
class Pushed:
    """Inputs pushed as far as the oracles go along.

    Args:
        x: `(B, ...)` the last valid point of each row.
        steps: `(B,)` steps that were valid.
        kept: `(B,)` bool, rows whose clean input the oracles get right; others stay as they are.
    """

    x: Tensor
    steps: Tensor
    kept: Tensor


def push(
    model: Model,
    oracles: Sequence[Model],
    x: Tensor,
    y: Tensor,
    *,
    codec: Codec | None = None,
    steps: int = 50,
    step_size: float = 1e-3,
    rule: Rule = "majority",
    share: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
) -> Pushed:
    """Raises a model's loss in the latents of a generator until the oracles object.

    Every returned point is one that the oracles label as before: the first that they do not ends
    its row, which then costs no further pass.

    Args:
        model: under test.
        oracles: further models that stand for the truth.
        x: `(B, ...)` inputs.
        y: `(B,)` labels.
        codec: the generator; the inputs themselves without one.
        steps: at most.
        step_size: times the gradient of the cross-entropy in the latent.
        rule: how several oracles agree.
        share: of each row's latents that may change, those with the largest first gradient.
        low: least valid input value.
        high: largest valid input value.

    Cost: per step and open row one forward and backward pass of model and decoder, one forward
    of each oracle.
    """
    made = Pixels() if codec is None else codec
    best, used = x.detach().clone(), torch.zeros(len(x), dtype=torch.int64, device=x.device)
    with quiet(model, *oracles, codec):
        kept = verdict(oracles, x, y, rule)
        rows = kept.nonzero().flatten()
        with torch.no_grad():
            z = made.encode(x[rows]).detach()
        free = torch.ones_like(z, dtype=torch.bool)
        for step in range(steps):
            if not len(rows):
                break
            slope = _slope(model, made, z, y[rows], low, high)
            if step == 0 and share < 1:
                free = _foremost(slope, share)
            z = z + step_size * torch.where(free, slope, 0.0)
            with torch.no_grad():
                there = made.decode(z).clamp(low, high).to(x)
                valid = verdict(oracles, there, y[rows], rule)
            best[rows] = pick(valid, there, best[rows])
            used[rows] += valid.long()
            rows, z, free = rows[valid], z[valid], free[valid]
    return Pushed(best, used, kept)


def _slope(model: Model, codec: Codec, z: Tensor, y: Tensor, low: float, high: float) -> Tensor:
    """Gradient of the cross-entropy in the latents."""
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_()
        loss = F.cross_entropy(logits(model(codec.decode(leaf).clamp(low, high))), y,
                               reduction="sum")  # fmt: skip
        with_slope(loss, "a push of latents")
        (slope,) = torch.autograd.grad(loss, leaf)
    return slope.nan_to_num(0.0)


def _foremost(slope: Tensor, share: float) -> Tensor:
    """The entries of each row with the largest gradient, at least one."""
    flat = slope.flatten(1).abs()
    count = max(1, round(share * flat.shape[1]))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    return chosen.scatter(1, flat.topk(count, 1).indices, True).reshape(slope.shape)
