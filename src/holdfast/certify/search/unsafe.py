"""The outputs that must not be reached, as rows of coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

LEAST = 1e-100  # length below which a row is as good as zero
Disjuncts = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Unsafe:
    """A union of alternatives, each a conjunction of rows `c z <= d`.

    An alternative is refuted where one row, or a mixture of its rows, is positive everywhere.

    Args:
        c: `(M, K)` rows of all alternatives, one after the other.
        d: `(M,)`.
        owner: `(M,)` the alternative that each row belongs to.
        count: how many alternatives.
    """

    c: Tensor
    d: Tensor
    owner: Tensor
    count: int

    @staticmethod
    def of(disjuncts: Disjuncts) -> Unsafe:
        """From pairs `(C (m, K), d (m,))`."""
        sizes = torch.tensor([len(d) for _, d in disjuncts])
        return Unsafe(
            torch.cat([c.double() for c, _ in disjuncts]),
            torch.cat([d.double() for _, d in disjuncts]),
            torch.arange(len(disjuncts)).repeat_interleave(sizes),
            len(disjuncts),
        )

    def best(self, values: Tensor) -> Tensor:
        """`(B, J)`: the largest of the values `(B, M)` of the rows of each alternative."""
        start = torch.full((len(values), self.count), -torch.inf, dtype=values.dtype)
        owner = self.owner.expand(len(values), -1)
        return start.scatter_reduce(1, owner, values, "amax")

    def rows(self, alternative: int) -> Tensor:
        """Positions of the rows of an alternative."""
        return (self.owner == alternative).nonzero().flatten()

    def alone(self, alternative: int) -> Unsafe:
        """One alternative."""
        rows = self.rows(alternative)
        return Unsafe(self.c[rows], self.d[rows], torch.zeros_like(rows), 1)

    def values(self, z: Tensor) -> Tensor:
        """`(B, M)`: by how much outputs violate each row, in float64."""
        return z.double() @ self.c.T - self.d

    def violated(self, values: Tensor) -> Tensor:
        """`(B, J)`: the sum of the violated rows of each alternative, which sees all of them."""
        start = values.new_zeros(len(values), self.count)
        return start.scatter_add(1, self.owner.expand(len(values), -1), values.clamp(min=0))

    def margin(self, z: Tensor) -> Tensor:
        """`(B, J)`: largest violation of each alternative; not positive where it is reached.

        Outputs that are not finite reach nothing.
        """
        found = self.best(self.values(z))
        return found.masked_fill(~z.isfinite().all(1, keepdim=True) | found.isnan(), torch.inf)

    def levelled(self) -> Unsafe:
        """The same set with rows of length about 1: divided by powers of two, hence exactly."""
        length = self.c.norm(dim=1).clamp(min=LEAST)
        scale = torch.exp2(-length.log2().round())[:, None]
        return replace(self, c=self.c * scale, d=self.d * scale[:, 0])
