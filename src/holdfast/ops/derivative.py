"""Products with Jacobians and Hessians, without ever forming them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from holdfast.ops.batch import fit


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of one number per row in its own row.

    Args:
        function: `(B, ...)` to `(B,)`; row i must depend on row i only.
        x: where, of a floating type.

    Returns:
        Like x; zeros where the function does not depend on it.

    Cost: one forward and one backward pass.
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value = function(leaf)
        if not value.requires_grad:
            return torch.zeros_like(leaf)
        (found,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    return torch.zeros_like(x) if found is None else found.detach()


def jacobian_norm(
    function: Callable[[Tensor], Tensor], x: Tensor, start: Tensor, *, steps: int = 10
) -> Tensor:
    """Largest singular value of each row's Jacobian, by power iteration from below.

    Products with the Jacobian come from differentiating the product with its transpose, so any
    differentiable function will do.

    Args:
        function: `(B, ...)` to `(B, K)`; row i must depend on row i only.
        x: `(B, ...)`, where.
        start: like x, directions to start from; random ones miss nothing with certainty 1.
        steps: rounds of J and J transposed.

    Returns:
        `(B,)`: never above the true value, up to rounding.

    Cost: one forward and `2 * steps` backward passes.
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        out = function(leaf).flatten(1)
        dummy = torch.zeros_like(out, requires_grad=True)
        if not out.requires_grad:
            return x.new_zeros(len(x))
        (back,) = torch.autograd.grad(_dot(out, dummy), leaf, create_graph=True, allow_unused=True)
        if back is None:
            return x.new_zeros(len(x))
        v, size = _unit(start.to(x)), x.new_zeros(len(x))
        for _ in range(steps):
            (forward,) = torch.autograd.grad(_dot(back, v), dummy, retain_graph=True)
            (v,) = torch.autograd.grad(_dot(out, forward), leaf, retain_graph=True)
            size = torch.maximum(size, forward.norm(dim=1))
            v = _unit(v)
    return size.detach()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """A sum to differentiate: for a direction torch imports half a second of algebra."""
    return (a * b).sum()


def _unit(v: Tensor) -> Tensor:
    """Each row divided by its Euclidean length."""
    length = v.flatten(1).norm(dim=1)
    return v / fit(length.clamp(min=torch.finfo(v.dtype).tiny), v)


Weights = Mapping[str, Tensor]


def weights_gradient(loss: Callable[[Weights], Tensor], weights: Weights) -> dict[str, Tensor]:
    """Gradient of a scalar loss in every weight.

    Args:
        loss: weights by name to a scalar.
        weights: where.

    Cost: one forward and one backward pass.
    """
    with torch.enable_grad():
        leaves = {k: w.detach().clone().requires_grad_() for k, w in weights.items()}
        value = loss(leaves)
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    return {
        k: torch.zeros_like(w) if g is None else g.detach()
        for (k, w), g in zip(leaves.items(), found, strict=True)
    }


def hvp(
    loss: Callable[[Weights], Tensor], weights: Weights, direction: Weights
) -> dict[str, Tensor]:
    """Product of the Hessian of a scalar loss with a direction, by differentiating twice.

    Exact up to rounding. Kinks (ReLU) carry no curvature here: the Hessian is that of the
    smooth piece the weights lie on.

    Args:
        loss: weights by name to a scalar.
        weights: where.
        direction: tensors of the same names and shapes.

    Cost: one forward and two backward passes.
    """
    with torch.enable_grad():
        leaves = {k: w.detach().clone().requires_grad_() for k, w in weights.items()}
        parts = list(leaves.values())
        first = torch.autograd.grad(loss(leaves), parts, create_graph=True, allow_unused=True)
        pairs = [
            (g * direction[k]).sum()
            for k, g in zip(leaves, first, strict=True)
            if g is not None and g.requires_grad
        ]
        if not pairs:
            return {k: torch.zeros_like(w) for k, w in weights.items()}
        second = torch.autograd.grad(torch.stack(pairs).sum(), parts, allow_unused=True)
    return {
        k: torch.zeros_like(w) if h is None else h.detach()
        for (k, w), h in zip(leaves.items(), second, strict=True)
    }


def lanczos(
    product: Callable[[Tensor], Tensor], start: Tensor, *, steps: int = 20
) -> tuple[Tensor, Tensor]:
    """Eigenvalues of a symmetric operator at the ends of its spectrum, each with its residual.

    The Krylov space is kept orthogonal by two full passes per step. Every returned value lies
    within its residual of a true eigenvalue, and the largest one is never above the largest
    eigenvalue (up to rounding).

    Args:
        product: `(n,)` to `(n,)`.
        start: `(n,)` direction to start from, not zero.
        steps: at most this many products.

    Returns:
        Values in rising order and their residuals, float64.
    """
    basis = [start.double() / start.double().norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(min(steps, len(start))):
        w = product(basis[-1].to(start.dtype)).double()
        diagonal.append(w @ basis[-1])
        space = torch.stack(basis)
        for _ in range(2):
            w = w - space.T @ (space @ w)
        beside.append(w.norm())
        if beside[-1] <= 1e-10 * torch.stack(diagonal).abs().max().clamp(min=1e-30):
            break
        basis.append(w / beside[-1])
    off = torch.stack(beside[:-1]) if len(beside) > 1 else start.new_zeros(0, dtype=torch.float64)
    small = torch.diag(torch.stack(diagonal)) + torch.diag(off, 1) + torch.diag(off, -1)
    values, vectors = torch.linalg.eigh(small)
    return values, beside[-1] * vectors[-1].abs()
