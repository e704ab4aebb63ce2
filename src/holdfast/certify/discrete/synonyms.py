"""Smoothing over synonyms: the mean answer while every word is redrawn from words like it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from holdfast.certify.discrete.ids import token_ids
from holdfast.certify.discrete.rounding import disagreement
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model

ROWS = 8192  # versions per forward pass


@dataclass(frozen=True, eq=False)
class SynonymSmoothed:
    """The mean of a model's probabilities over independent uniform draws of each word.

    Word w is redrawn from a set P_w that holds w. Two texts whose words have similar sets have
    similar distributions of versions, so their means differ by at most the total variation
    between these: that is what `certifier:certdr` bounds. What it certifies is the exact
    mean; with `samples > 0` the model estimates it with the same draws for every input.

    Args:
        base: ids `(B, L)` -> one relevance `(B,)` or `(B, 1)`, or logits `(B, K)`.
        sets: `(V, P)` ids of each P_w, filled up with -1; row w must hold w once.
        samples: draws; 0 takes every version, where there are at most `most` of a row.
        seed: of the draws.
        most: largest number of versions of a row.
    """

    base: Model
    sets: Tensor
    samples: int = 0
    seed: int = 0
    most: int = 20_000

    def __post_init__(self) -> None:
        if self.sets.dim() != 2 or self.sets.is_floating_point() or self.samples < 0:
            raise ConfigError(
                f"SynonymSmoothed: sets {tuple(self.sets.shape)} must hold ids",
                fix="Pass ids (V, S): in row v what may stand for word v, filled up with -1.",
            )
        ranked = self.sets.sort(1).values
        twice = ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)).any()
        words = torch.arange(len(self.sets), device=self.sets.device)
        own = (self.sets == words[:, None]).sum(1) == 1
        if bool(twice) or not bool(own.all()) or int(self.sets.max()) >= len(self.sets):
            raise ConfigError(
                "SynonymSmoothed: each set must hold its own word, and no word twice",
                fix="Begin row v of sets with v, and name each other id in it once.",
            )

    @property
    def sizes(self) -> Tensor:
        """`(V,)` words in each set."""
        return (self.sets >= 0).sum(1)

    def overlap(self, word: Tensor, other: Tensor) -> Tensor:
        """`(...)` float64: one minus the total variation between the draws of two words.

        For uniform draws of sets P and Q it is `|P and Q| / max(|P|, |Q|)`. The larger set
        counts: divided by the size of the first one alone, the bound would be false.
        """
        p, q = self.sets.to(word.device)[word], self.sets.to(word.device)[other]
        both = ((p[..., :, None] == q[..., None, :]) & (p[..., :, None] >= 0)).sum((-1, -2))
        most = torch.maximum((p >= 0).sum(-1), (q >= 0).sum(-1))
        return both.double() / most

    def versions(self, ids: Tensor) -> Tensor:
        """`(M, L)`: every version of one text `(L,)`, all equally likely.

        Raises:
            Unsupported: if there are more than `most`.
        """
        count = prod(self.sizes[ids].tolist())
        if count > self.most:
            raise Unsupported(
                f"SynonymSmoothed: {count} versions of a text are too many",
                fix="Use samples=1000.",
            )
        words = [row[row >= 0] for row in self.sets.to(ids.device)[ids]]
        if len(words) == 1:
            single: Tensor = words[0][:, None]
            return single
        every: Tensor = torch.cartesian_prod(*words)
        return every

    def drawn(self, ids: Tensor, u: Tensor) -> Tensor:
        """Texts `(..., L)` with words redrawn by numbers in [0, 1) of the same shape."""
        size = self.sizes.to(ids.device)[ids]
        at = (u.to(ids.device) * size).long().clamp(max=size - 1)
        # Sets may have their fill anywhere: the at-th word of a set is found by its rank.
        ranked = self.sets.to(ids.device).sort(1, descending=True).values
        return ranked[ids, at]

    def probabilities(self, ids: Tensor) -> Tensor:
        """`(M, K)` float64 in [0, 1]: the base's answers, NaN where they are not finite."""
        return self.answers(ids)[0]

    def answers(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities, and `(M,)` by how much each of a row may differ in another batch.

        Logits that move by at most d move a sigmoid by d / 4 and a softmax by d / 2.
        """
        parts, apart = [], []
        for part in ids.split(ROWS):
            z = logits(self.base(part))
            if z.dim() not in (1, 2):
                raise ShapeError(
                    f"SynonymSmoothed: outputs {tuple(z.shape)} are no logits",
                    fix="Pass a model that returns (B, K) logits, or one number per text.",
                )
            single = z.dim() == 1 or z.shape[1] == 1
            p = z.double().reshape(-1, 1).sigmoid() if single else z.double().softmax(1)
            finite = z.reshape(len(p), -1).isfinite().all(1, keepdim=True)
            parts.append(p.masked_fill(~finite, torch.nan))
            apart.append(disagreement(z.reshape(len(p), -1)) / (4 if single else 2))
        return torch.cat(parts), torch.cat(apart)

    def __call__(self, ids: Tensor) -> Tensor:
        """`(B, K)` float64 mean probabilities; `(B, 1)` for one relevance."""
        token_ids(ids, "SynonymSmoothed")
        if not len(ids):
            return self.probabilities(ids)
        if not self.samples:
            return torch.stack([self.probabilities(self.versions(row)).mean(0) for row in ids])
        dice = Dice(self.seed, torch.arange(self.samples), "synonyms")
        u = dice.uniform(ids.shape[1:], device=ids.device, dtype=torch.float64)
        shape = (len(ids), *u.shape)
        made = self.drawn(ids[:, None].expand(shape), u.expand(shape))
        found: Tensor = self.probabilities(made.flatten(0, 1)).unflatten(0, shape[:2]).mean(1)
        return found

    def noisy(self, batch: Batch, dice: Dice) -> Batch:
        """A batch whose words are redrawn once: `Batches(augment=model.noisy)` trains the base."""
        ids = batch.x
        if not isinstance(ids, Tensor):
            raise Unsupported(
                "SynonymSmoothed: needs ids (B, L)",
                fix="Encode the texts first: pass token ids as one tensor.",
            )
        u = dice.uniform(ids.shape[1:], device=ids.device, dtype=torch.float64)
        return batch._replace(x=self.drawn(ids, u))
