"""The goal of a privacy cloak: a face that is matched with somebody else."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.errors import ShapeError
from holdfast.core.goal import Goal, Outputs, logits
from holdfast.ops.hulls import affine_hull, to_affine, to_convex

Hull = Literal["centre", "affine", "convex"]


@dataclass(frozen=True, eq=False)
class Unrecognised(Goal):
    """Somebody else in a gallery is more similar to the embedding than the person is.

    Each other person is a way to win: the best cosine with one of his images minus the best one
    with the person's own. What is climbed instead is the squared distance from the embeddings of
    the person, which says where to go when nobody else is near; each person lies in a subspace of
    his own. Outputs are embeddings; they are scaled to length 1.

    Args:
        gallery: `(G, d)` embeddings of known images without any change.
        owner: `(G,)` whose they are.
        person: `(B,)` who is on each row.
        hull: what is fled from: the `centre` of the person's embeddings, their `affine` hull or
            their `convex` hull.
        rank: directions of the affine hull.
    """

    gallery: Tensor
    owner: Tensor
    person: Tensor
    hull: Hull = "centre"
    rank: int = 4

    def __post_init__(self) -> None:
        if self.gallery.dim() != 2 or self.owner.shape != self.gallery.shape[:1]:
            raise ShapeError(
                f"Unrecognised: a gallery {tuple(self.gallery.shape)} with owners "
                f"{tuple(self.owner.shape)}",
                fix="Give embeddings (G, d) and whose each of them is.",
            )
        if lost := set(self.person.tolist()) - set(self.owner.tolist()):
            raise ShapeError(
                f"Unrecognised: the gallery holds no image of {sorted(lost)[0]}",
                fix="Add an image of that person to the gallery, or leave out their rows.",
            )
        if len(self.owner.unique()) < 2:
            raise ShapeError(
                "Unrecognised: the gallery needs at least two people",
                fix="Add images of other people to the gallery.",
            )

    def take(self, rows: Tensor | slice) -> Unrecognised:
        chosen = copy(self)  # not made anew: the gallery was checked once
        object.__setattr__(chosen, "person", self.person[rows])
        return chosen

    def _known(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        f = F.normalize(logits(outputs).flatten(1), dim=1)
        return f, F.normalize(self.gallery.to(f), dim=1)

    def ways(self, outputs: Outputs) -> Tensor:
        f, known = self._known(outputs)
        people = self.owner.unique()
        alike = f @ known.T
        each = torch.stack([alike[:, self.owner == p].amax(1) for p in people], 1)
        own = people[None] == self.person[:, None].to(people)
        best = each.masked_fill(~own, -torch.inf).amax(1, keepdim=True)
        return (each - best).masked_fill(own, -torch.inf)

    def soft(self, outputs: Outputs) -> Tensor:
        """`(B,)`: squared distance from the person's own embeddings."""
        f, known = self._known(outputs)
        far = f.new_zeros(len(f))
        for person in self.person.unique():
            mine = (self.person == person).nonzero().flatten().to(f.device)
            far = far.index_copy(0, mine, self._from(f[mine], known[self.owner == person]))
        return far

    def _from(self, f: Tensor, own: Tensor) -> Tensor:
        if self.hull == "centre":
            return (f - own.mean(0)).square().sum(1)
        if self.hull == "convex":
            return to_convex(f, own)
        return to_affine(f, *affine_hull(own, self.rank))
