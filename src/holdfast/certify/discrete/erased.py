"""A filter that also looks at what is left when tokens are taken out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.discrete.ids import token_ids
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.ranges import inside, one_of
from holdfast.core.row_keys import row_keys

Mode = Literal["suffix", "insertion", "infusion"]
ROWS = 4096  # sequences per forward pass


@dataclass(frozen=True, eq=False)
class Erased:
    """A filter that calls a prompt harmful if it, or any erased version of it, is harmful.

    The erased versions are those that one adversary of the mode could have extended to the
    prompt: without its last tokens (`suffix`), without up to `blocks` runs of neighbouring
    tokens (`insertion`), without any few tokens (`infusion`); at most `erase` of them, for
    insertions in each run. Tokens that stay move together and padding fills up behind them. The
    answer is that of the version for which the harmful class leads most, so it is as
    differentiable as the filter and can be attacked as a whole. Versions with outputs that are
    not finite speak for nothing; at least one token always stays.

    Rows of ids end where nothing but padding follows. Tokens are compared as ids: a filter that
    decodes and encodes again must give the same ids, or the proof is about another filter.

    Args:
        base: ids `(B, L)` -> logits `(B, K)`; padding must mean nothing to it.
        mode: which versions are looked at.
        erase: largest number of tokens erased, per run for insertions.
        blocks: runs of an insertion.
        harmful: the class that must not be hidden.
        padding: id that fills up the end of a row.
        most: largest number of versions of a row; more are refused.
        share: share of the versions that is looked at, drawn from the prompt's contents; below
            1 it is cheaper and nothing is proved.

    Cost: `share * checks(length)` forward passes per row.
    """

    base: Model
    mode: Mode = "suffix"
    erase: int = 20
    blocks: int = 1
    harmful: int = 1
    padding: int = 0
    most: int = 100_000
    share: float = 1.0

    def __post_init__(self) -> None:
        one_of(("suffix", "insertion", "infusion"), "Erased", mode=self.mode)
        inside("[0, inf)", "Erased", erase=self.erase, harmful=self.harmful)
        inside("[1, inf)", "Erased", blocks=self.blocks)
        inside("[0, 1]", "Erased", share=self.share)

    def checks(self, length: int) -> int:
        """How many versions of a prompt of that many tokens are looked at, itself included."""
        left = length - 1  # one token stays
        if length < 1:
            return 1
        if self.mode == "suffix":
            return min(self.erase, left) + 1
        if self.mode == "infusion":
            return sum(comb(length, i) for i in range(min(self.erase, left) + 1))
        return len(list(self._runs(length))) + 1

    def _runs(self, length: int) -> Iterator[frozenset[int]]:
        """The sets of tokens that insertions of up to `blocks` runs may have put in."""
        one = [
            frozenset(range(start, start + size))
            for size in range(1, min(self.erase, length) + 1)
            for start in range(length - size + 1)
        ]
        if self.blocks > 1 and len(one) ** self.blocks > 50 * self.most:
            raise Unsupported(
                f"Erased: {len(one)} runs in {self.blocks} blocks are too many",
                fix="Use fewer blocks, or erase fewer tokens.",
            )
        found: set[frozenset[int]] = set()
        for count in range(1, self.blocks + 1):
            for runs in combinations(one, count):
                found.add(frozenset().union(*runs))
        return iter(sorted((f for f in found if len(f) < length), key=sorted))

    def kept(self, length: int) -> Tensor:
        """`(M, length)` bool: which tokens each version keeps; the first keeps all.

        Raises:
            Unsupported: if there are more than `most`.
        """
        if self.mode == "infusion" and self.checks(length) > self.most:
            raise Unsupported(
                f"Erased: {self.checks(length)} versions of {length} tokens are too many",
                fix="Erase fewer tokens, or use the suffix or insertion mode.",
            )
        sets: list[frozenset[int]] = [frozenset()]
        if self.mode == "suffix":
            most = min(self.erase, length - 1)
            sets += [frozenset(range(length - i, length)) for i in range(1, most + 1)]
        elif self.mode == "insertion":
            sets += list(self._runs(length))
        else:
            most = min(self.erase, length - 1)
            sets += [
                frozenset(c) for i in range(1, most + 1) for c in combinations(range(length), i)
            ]
        if len(sets) > self.most:
            raise Unsupported(
                f"Erased: {len(sets)} versions of {length} tokens are too many",
                fix="Erase fewer tokens, or raise most=....",
            )
        mask = torch.ones(len(sets), length, dtype=torch.bool)
        for row, gone in enumerate(sets):
            mask[row, list(gone)] = False
        return mask

    def __call__(self, ids: Tensor) -> Tensor:
        """`(B, K)` logits of the version for which the harmful class leads most."""
        token_ids(ids, "Erased")
        if not len(ids):
            return logits(self.base(ids))
        size = lengths(ids, self.padding)
        found: Tensor | None = None
        for length in size.unique().tolist():
            every = self.kept(length).to(ids.device)
            per = max(1, ROWS // len(every))
            for rows in (size == length).nonzero().flatten().split(per):
                best = self._best(ids[rows], every)
                found = best.new_zeros(len(ids), best.shape[1]) if found is None else found
                found = found.index_copy(0, rows, best)
        return ids.new_zeros(0, 0).double() if found is None else found

    def _best(self, ids: Tensor, every: Tensor) -> Tensor:
        """`(R, K)`: the answers of the versions of rows of equal length that lead most."""
        masks = torch.stack([self._some(every, row) for row in ids])  # (R, M, length)
        full = torch.ones(*masks.shape[:2], ids.shape[1], dtype=torch.bool, device=ids.device)
        full[:, :, : masks.shape[2]] = masks
        versions = ids[:, None].expand(full.shape).flatten(0, 1)
        versions = erased(versions, full.flatten(0, 1), self.padding)
        z = torch.cat([logits(self.base(part)) for part in versions.split(ROWS)])
        lead = self.lead(z).unflatten(0, masks.shape[:2])
        best = torch.where(lead.isnan(), -torch.inf, lead).argmax(1)
        each = torch.arange(len(ids), device=ids.device)
        found: Tensor = z.unflatten(0, masks.shape[:2])[each, best]
        return found

    def _some(self, masks: Tensor, row: Tensor) -> Tensor:
        """The versions that are looked at: the prompt itself, and a share of the others."""
        if self.share >= 1:
            return masks
        draw = Dice(0, row_keys(row[None]).cpu(), "erased").uniform((len(masks),))[0]
        draw[0] = -1.0
        return masks[draw.argsort()[: 1 + round(self.share * (len(masks) - 1))]]

    def lead(self, z: Tensor) -> Tensor:
        """`(M,)`: by how much the harmful class leads all others; NaN where z is not finite."""
        if z.dim() != 2 or z.shape[1] <= self.harmful or z.shape[1] < 2:
            raise ShapeError(
                f"Erased: class {self.harmful} is not in logits {tuple(z.shape)}",
                fix="Give harmful as the position of a logit, of two or more.",
            )
        others = torch.cat([z[:, : self.harmful], z[:, self.harmful + 1 :]], 1)
        lead = z[:, self.harmful] - others.amax(1)
        return lead.masked_fill(~z.isfinite().all(1), torch.nan)


def lengths(ids: Tensor, padding: int) -> Tensor:
    """`(B,)`: tokens of each row, up to the last that is no padding; at least one."""
    place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    found: Tensor = ((ids != padding) * place).amax(1).clamp(min=1)
    return found


def erased(ids: Tensor, kept: Tensor, padding: int) -> Tensor:
    """`(M, L)`: the kept tokens of each row moved together, padding behind them."""
    order = (~kept).long().argsort(dim=1, stable=True)
    moved = ids.gather(1, order)
    place = torch.arange(ids.shape[1], device=ids.device)
    return torch.where(place < kept.sum(1, keepdim=True), moved, padding)
