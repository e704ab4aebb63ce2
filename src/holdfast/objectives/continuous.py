"""Adversarial training of language models against changes of their embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.fields import Ingredient, NonNegative, Part, Positive, ingredient, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Attack, Model, Run, Threat
from holdfast.core.quiet import quiet
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.objectives.answer_pair import AnswerPair
from holdfast.objectives.supervised import per_row
from holdfast.threats.embedding import Embedding

LEAK = 0.001  # slope that is left of a loss that has gone far enough
STEPS = PGD(steps=10, travel=2.5, start="none", climb="soft")


def enough(values: Tensor, cutoff: float) -> Tensor:
    """Values; those below a cutoff are replaced by it plus a thousandth of them."""
    return torch.where(values < cutoff, cutoff + LEAK * values, values)


def log_chances(outputs: Outputs, y: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, T)`: log-probability of every label, and 1 where there is one."""
    chances = -cross_entropy(outputs, y)
    return chances.reshape(len(y), -1), (y != UNLABELLED).to(chances).reshape(len(y), -1)


@register("objective", cites="continuous-adversarial-llm", name="c-advul")
@settings
class ContinuousUnlikelihood(AnswerPair):
    """C-AdvUL: away from the harmful answer and toward the refusal, under changed embeddings.

    Rows hold a prompt and the answer that is wanted, as ids and as labels of the next token, -100
    where nothing is learned (within the prompt, and in padding); `more["away_ids"]` and
    `more["away"]` hold the same prompt with an answer that is unwanted. The attack moves the
    vectors of the prompt, and only these, until the unwanted answer is most likely. Then the
    wanted answer is made likelier and the unwanted one less likely, both under this change. Each
    term keeps a thousandth of its slope once it has gone far enough, so that the model is not
    destroyed. Rows whose `away` is -100 throughout keep it useful: they are learned as they are.

    Unlike the paper: steps go along the gradient of each token's vector, not its sign, and their
    length is a share of the radius.

    Cost: one forward pass, the attack, and two forward passes.

    Args:
        threat: changes of the prompt's vectors.
        attack: how the worst change is sought.
        away: weight of making the unwanted answer unlikely.
        toward: weight of making the wanted answer likely.
        utility: weight of the rows without an unwanted answer.
        away_cutoff: minus the cross-entropy of the unwanted answer that is low enough.
        toward_cutoff: cross-entropy of the wanted answer that is low enough.
    """

    threat: Part[Threat] = Embedding(radius=0.05)
    attack: Part[Attack] = STEPS
    away: NonNegative = 0.5
    toward: NonNegative = 0.5
    utility: NonNegative = 1.0
    away_cutoff: float = -5.0
    toward_cutoff: float = 0.5

    def pair(self, run: Run, batch: Batch, good: Tensor, bad: Tensor) -> Tensor:
        unwanted = batch.more["away"]
        toward = per_row(cross_entropy(good, batch.y), batch.y)
        away = -per_row(cross_entropy(bad, unwanted), unwanted)
        towards, from_it = enough(toward, self.toward_cutoff), enough(away, self.away_cutoff)
        return self.toward * towards + self.away * from_it


@register("objective", cites="continuous-adversarial-llm", name="c-advipo")
@settings
class ContinuousIPO(AnswerPair):
    """C-AdvIPO: prefers the refusal to the harmful answer by a fixed margin, under attack.

    With h the lead of the wanted answer over the unwanted one, in mean log-probability per token,
    beyond the lead that a frozen reference gives it, the loss is (h - 1 / (2 beta))^2: unlike a
    logistic loss it is least at a finite lead, and needs no rows that keep the model useful.
    Unwanted tokens that are already unlikely, and wanted ones that are certain, count as 0.
    The reference sees the prompt without a change, and its tokens are not cut. Rows as in
    `objective:c-advul`.

    Unlike the paper: steps as in `objective:c-advul`.

    Cost: as `objective:c-advul`, and two forward passes of the reference.

    Args:
        threat: changes of the prompt's vectors.
        attack: how the worst change is sought.
        reference: the model before training, frozen; without it leads are absolute.
        beta: one half of the inverse of the lead that is wanted.
        utility: weight of the rows without an unwanted answer.
        away_cutoff: log-probability below which an unwanted token counts as 0.
        toward_cutoff: log-probability from 0 above which a wanted token counts as 0.
    """

    threat: Part[Threat] = Embedding(radius=0.05)
    attack: Part[Attack] = STEPS
    reference: Ingredient[Model] = ingredient()
    beta: Positive = 0.25
    utility: NonNegative = 1.0
    away_cutoff: float = -5.0
    toward_cutoff: NonNegative = 0.0

    @classmethod
    def example(cls, world: Any) -> ContinuousIPO:
        """With a linear reference of four inputs, for the laws."""
        with torch.random.fork_rng():
            torch.manual_seed(4)
            return cls(reference=nn.Linear(4, 3).double())

    def pair(self, run: Run, batch: Batch, good: Tensor, bad: Tensor) -> Tensor:
        (chosen, yes), (rejected, no) = _both(good, bad, batch)
        chosen = chosen.masked_fill(chosen > -self.toward_cutoff, 0.0)
        rejected = rejected.masked_fill(rejected < self.away_cutoff, 0.0)
        lead = _mean(chosen, yes) - _mean(rejected, no)
        if self.reference is not None:
            with quiet(self.reference), torch.no_grad():
                first, other = (
                    logits(self.reference(x)) for x in (batch.x, self._inputs(batch))
                )  # fmt: skip
            (chosen, yes), (rejected, no) = _both(first, other, batch)
            lead = lead - _mean(chosen, yes) + _mean(rejected, no)
        return (lead - 1 / (2 * self.beta)).square()


def _both(
    good: Tensor, bad: Tensor, batch: Batch
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Log-probabilities of the tokens of the wanted and of the unwanted answer."""
    return log_chances(good, batch.y), log_chances(bad, batch.more["away"])


def _mean(values: Tensor, count: Tensor) -> Tensor:
    return (values * count).sum(1) / count.sum(1).clamp(min=1)
