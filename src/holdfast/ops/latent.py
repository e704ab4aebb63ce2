"""Generators of inputs and the directions in which they vary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Generator(Protocol):
    """Codes to inputs and back: whatever makes inputs of a kind out of few numbers."""

    def decode(self, w: Tensor) -> Tensor:
        """`(B, d)` codes to `(B, ...)` inputs, differentiable."""

    def encode(self, x: Tensor) -> Tensor:
        """`(B, ...)` inputs to `(B, d)` codes."""


@dataclass(frozen=True, eq=False)
class PrincipalGenerator:
    """The linear generator of least squared error: principal components in units of their spread.

    Args:
        mean: `(n,)`.
        basis: `(n, d)` columns of the components times their standard deviations.
        shape: of an input.
    """

    mean: Tensor
    basis: Tensor
    shape: tuple[int, ...]

    @classmethod
    def fit(cls, x: Tensor, rank: int) -> PrincipalGenerator:
        """The first components of inputs `(B, ...)`, at most as many as vary at all."""
        flat = x.flatten(1)
        mean = flat.mean(0)
        _, values, rows = torch.linalg.svd(flat - mean, full_matrices=False)
        spread = values / max(len(flat) - 1, 1) ** 0.5
        kept = int(min(rank, int((spread > 1e-6 * spread.max()).sum())))
        return cls(mean, rows[:kept].T * spread[:kept], tuple(x.shape[1:]))

    def decode(self, w: Tensor) -> Tensor:
        """Codes to inputs."""
        return (self.mean + w @ self.basis.T).reshape(-1, *self.shape)

    def encode(self, x: Tensor) -> Tensor:
        """Codes of the nearest inputs that can be generated."""
        size = self.basis.square().sum(0)
        return (x.flatten(1) - self.mean) @ self.basis / size


def factors(weight: Tensor, count: int) -> Tensor:
    """`(count, d)`: directions that a linear map `(n, d)` moves most, orthonormal rows.

    The eigenvectors of `weight.T @ weight` with the largest eigenvalues: closed-form
    factorisation of the first layer of a generator.
    """
    found: Tensor = torch.linalg.svd(weight, full_matrices=False)[2][:count]
    return found


def directions(decode: Callable[[Tensor], Tensor], codes: Tensor, count: int) -> Tensor:
    """`(count, d)`: directions that any generator moves most, from its Jacobian at some codes.

    Eigenvectors of the mean of `J.T @ J`; for a linear generator they are `factors`.

    Args:
        decode: codes `(B, d)` to inputs.
        codes: `(m, d)` at which the Jacobian is taken.
        count: directions.
    """
    total = codes.new_zeros(codes.shape[1], codes.shape[1])
    for code in codes:
        j = torch.autograd.functional.jacobian(lambda w: decode(w[None]).flatten(), code)
        total = total + j.T @ j
    found: Tensor = torch.linalg.eigh(total)[1].flip(1).T[:count]
    return found


def invert(
    decode: Callable[[Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    *,
    steps: int = 200,
    rate: float = 0.05,
    shift: float = 0.0,
    features: Callable[[Tensor], Tensor] | None = None,
    weight: float = 1.0,
) -> Tensor:
    """Codes whose inputs are closest to given ones, by gradient descent (Adam) on all at once.

    Args:
        decode: codes to inputs, differentiable.
        x: `(B, ...)` inputs.
        start: `(B, d)` codes to start from: of an encoder, or the mean code.
        steps: of descent.
        rate: of descent.
        shift: weight of the squared distance from the mean of the start codes, which keeps later
            changes of the codes realistic.
        features: of a perceptual net; their squared distance counts as well.
        weight: of the features.
    """
    centre = start.mean(0)
    w = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([w], lr=rate)
    wanted = None if features is None else features(x).detach()
    with torch.enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            made = decode(w)
            loss = (made - x).square().flatten(1).sum(1)
            loss = loss + shift * (w - centre).square().sum(1)
            if features is not None and wanted is not None:
                loss = loss + weight * (features(made) - wanted).square().flatten(1).sum(1)
            (w.grad,) = torch.autograd.grad(loss.sum(), w)
            optimizer.step()
    return w.detach()


def neutral(
    decode: Callable[[Tensor], Tensor],
    codes: Tensor,
    ways: Tensor,
    classify: Callable[[Tensor], Tensor],
    *,
    length: float = 1.0,
    share: float = 0.5,
) -> Tensor:
    """The directions that change the answer of a classifier least for how much they change inputs.

    Args:
        decode: codes to inputs.
        codes: `(B, d)` to be moved.
        ways: `(m, d)` candidate directions.
        classify: inputs to logits of an auxiliary classifier.
        length: of the moves, both ways.
        share: of the directions that is kept, at least one.
    """
    with torch.no_grad():
        x = decode(codes)
        p = classify(x).softmax(1)
        scores = []
        for way in ways:
            moved = [decode(codes + s * length * way) for s in (-1.0, 1.0)]
            answer = sum((classify(m).softmax(1) - p).abs().sum(1).mean() for m in moved)
            image = sum((m - x).flatten(1).norm(dim=1).mean() for m in moved)
            scores.append(float(answer) / max(float(image), 1e-12))
    order = torch.tensor(scores).argsort()[: max(1, round(share * len(ways)))]
    return ways[order.sort().values]
