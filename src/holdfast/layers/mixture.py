"""A mixture of experts: a router shares each input out among several networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError
from holdfast.core.ranges import inside


class TopKMoE(nn.Module):
    """The experts' outputs in the shares of a softmax over the best `k` of the router's scores.

    With `k` below the number of experts each row passes through `k` of them only, and the answer
    jumps where the selection changes: no gradient flows through the choice itself. With all of
    them the mixture is as smooth as its parts.

    Args:
        experts: modules of one signature, `(B, ...)` to `(B, D)`.
        router: `(B, ...)` to `(B, E)` scores.
        k: experts that a row passes through; 0 means all.
        noise: standard deviation of normal noise on the scores while training.

    Raises:
        ConfigError: for no experts, a k out of range or a negative noise.
    """

    def __init__(
        self, experts: Sequence[nn.Module], router: nn.Module, *, k: int = 1, noise: float = 0.0
    ) -> None:
        super().__init__()
        if not experts:
            raise ConfigError("TopKMoE: there is no expert", fix="Give one expert or more.")
        inside(f"[0, {len(experts)}]", "TopKMoE", k=k)
        inside("[0, inf]", "TopKMoE", noise=noise)
        self.experts, self.router = nn.ModuleList(experts), router
        self.k, self.noise = k or len(experts), noise

    def routing(self, x: Tensor) -> Tensor:
        """`(B, E)`: shares of the experts, rows add up to 1."""
        scores: Tensor = self.router(x)
        if self.training and self.noise:
            scores = scores + self.noise * torch.randn_like(scores)
        if self.k == len(self.experts):
            return scores.softmax(-1)
        best, which = scores.topk(self.k, -1)
        return torch.zeros_like(scores).scatter(-1, which, best.softmax(-1))

    def combine(self, x: Tensor, shares: Tensor) -> Tensor:
        """The experts' outputs in given shares; an expert sees only rows that give it a share."""
        out: Tensor | None = None
        for i, expert in enumerate(self.experts):
            rows = (shares[:, i] != 0).nonzero().flatten()
            part = shares[rows, i, None] * expert(x[rows]).flatten(1)
            out = x.new_zeros(len(x), part.shape[1]) if out is None else out
            out = out.index_add(0, rows, part.to(out.dtype))
        return out if out is not None else x.new_zeros(len(x), 0)

    def forward(self, x: Tensor) -> Tensor:
        """The mixture in the router's own shares."""
        return self.combine(x, self.routing(x))
