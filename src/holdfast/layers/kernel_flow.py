"""Infinitely wide nets as machines with one number per row that they have seen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.ops.tangents import relu_tangent_kernel, time_weights


class KernelFlow(nn.Module):
    """A wide ReLU net after training, with a time of its own for each row that it learned from.

    Trained adversarially on squared errors, a wide net ends where kernel regression with the
    tangent kernel ends whose rows ran for different times. Those times are all that is left to
    learn: at 0 the net answers 0; as all of them grow it becomes the regression through all
    labels, whatever the adversary did: long adversarial training is no longer adversarial. So
    rows are given finite times, by `recipe:adv-ntk` or any other training, on further rows.

    Args:
        x: `(n, ...)` rows learned from.
        y: `(n,)` their labels.
        classes: K.
        depth: hidden layers of the net.
        start: time of every row at first.
        jitter: added to the diagonal of the kernel, as a share of its mean.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        classes: int,
        depth: int = 1,
        start: float = 0.0,
        jitter: float = 1e-6,
    ) -> None:
        super().__init__()
        self.depth = depth
        gram = relu_tangent_kernel(x, x, depth=depth)
        gram = gram + jitter * gram.diagonal().mean() * torch.eye(len(x)).to(gram)
        self.register_buffer("rows", x.detach().clone())
        self.register_buffer("gram", gram.detach())
        self.register_buffer("targets", F.one_hot(y, classes).double())
        self.times = nn.Parameter(torch.full((len(x),), start, dtype=torch.float64))

    def coefficients(self) -> Tensor:
        """`(n, K)`: weights of the rows in every answer."""
        # The size of a time, with slope 1 at 0, so that training can leave 0.
        pace = torch.where(self.times < 0, -self.times, self.times)
        gram, targets = self.get_buffer("gram"), self.get_buffer("targets")
        return time_weights(gram, pace, targets)

    def regression(self, x: Tensor) -> Tensor:
        """`(B, K)`: what all nets end as when rows are learned for ever."""
        solved = torch.linalg.solve(self.get_buffer("gram"), self.get_buffer("targets"))
        found: Tensor = (self._kernel(x) @ solved).to(x.dtype)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """`(B, K)` answers of the type of the rows."""
        if torch.is_grad_enabled() and self.times.requires_grad:
            own = self.coefficients()
        else:
            own = self._frozen()
        found: Tensor = (self._kernel(x) @ own).to(x.dtype)
        return found

    def _kernel(self, x: Tensor) -> Tensor:
        return relu_tangent_kernel(x, self.get_buffer("rows"), depth=self.depth)

    def _frozen(self) -> Tensor:
        """The coefficients, kept while the times stay as they are: attacks ask many times."""
        known: tuple[Tensor, Tensor] | None = self.__dict__.get("_known")
        if known is None or not torch.equal(known[0], self.times):
            with torch.no_grad():
                known = (self.times.detach().clone(), self.coefficients())
            self.__dict__["_known"] = known
        return known[1]
