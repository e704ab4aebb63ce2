"""Does a reward model rank the same when the same is said in other words?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Ingredient, Inner, NonNegative, ingredient, settings
from holdfast.core.goal import logits
from holdfast.core.kinds import Check
from holdfast.core.quiet import quiet
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.measures.text.reward import RewardRobustness, reward_robustness
from holdfast.shifts.text.edit import Edit, edited
from holdfast.shifts.text.reword import REWORD, edit_named

Reward = Callable[[Sequence[str], Sequence[str]], Tensor]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Prompts with a better and a worse response each.

    Args:
        prompts: what was asked.
        chosen: the better responses.
        rejected: the worse ones.
    """

    prompts: Sequence[str]
    chosen: Sequence[str]
    rejected: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.prompts) == len(self.chosen) == len(self.rejected):
            raise ConfigError(
                "Pairs: prompts, chosen and rejected responses must be as many, got "
                f"{len(self.prompts)}, {len(self.chosen)} and {len(self.rejected)}",
                fix="Give one prompt, one chosen and one rejected response per pair.",
            )

    def __len__(self) -> int:
        return len(self.prompts)

    def reworded(self, edit: Edit, where: str, dice: Dice) -> tuple[Pairs, Tensor]:
        """The pairs after an edit, and which of them it applies to everywhere it should.

        Both responses get the same draws and are kept as they were unless both change: an edit of
        one alone would not be neutral.
        """
        asked, a, b = list(self.prompts), list(self.chosen), list(self.rejected)
        hit = torch.ones(len(self), dtype=torch.bool)
        if where != "responses":
            found = edited(asked, edit, dice.spawn("prompt"))
            asked, hit = found.texts, found.changed
        if where != "prompt":
            first, second = (edited(texts, edit, dice.spawn("response")) for texts in (a, b))
            a, b, hit = first.texts, second.texts, hit & first.changed & second.changed
        return Pairs(asked, a, b), hit


def rewards(model: Reward, pairs: Pairs) -> Tensor:
    """`(N, 2)` rewards of the chosen and the rejected responses. Cost: two forwards per pair."""
    with quiet(model), torch.no_grad():
        both = [logits(model(pairs.prompts, r)).detach().cpu().reshape(len(pairs))
                for r in (pairs.chosen, pairs.rejected)]  # fmt: skip
    return torch.stack(both, 1)


def reworded_rewards(
    model: Reward,
    pairs: Pairs,
    edits: Sequence[str] = REWORD,
    *,
    where: str = "responses",
    seed: int = 0,
    alpha: float = 0.05,
) -> RewardRobustness:
    """Rewards of pairs as they are, and after each edit.

    Args:
        model: (prompts, responses) -> `(N,)` rewards.
        pairs: with known better responses.
        edits: names of edits of texts.
        where: what is edited: prompt, responses or both.
        seed: of the draws.
        alpha: of the intervals.

    Cost: two forwards per pair, and two more per edit and pair that it applies to.
    """
    changed: dict[str, tuple[Tensor, Tensor]] = {}
    for name in edits:
        new, hit = pairs.reworded(edit_named(name), where, Dice.of(len(pairs), seed, name))
        rows = hit.nonzero().flatten().tolist()
        if rows:
            part = Pairs(*([column[i] for i in rows]
                           for column in (new.prompts, new.chosen, new.rejected)))  # fmt: skip
            changed[name] = hit, rewards(model, part)
    return reward_robustness(rewards(model, pairs), changed, alpha=alpha, seed=seed)


@register("check", name="rewordbench", cites="rewordbench")
@settings
class RewordBench(Check):
    """Accuracy of a reward model on pairs of responses, and what each rewording takes of it.

    The subject's model is called with prompts and responses and gives one reward for each. Edits
    keep which response is better; where one does not apply to both responses the pair is left
    out of its number.

    Unlike the paper: rule-based edits alone; paraphrases, translations there and back and speech
    there and back need models, and can be given as further pairs.

    Cost: two forwards per pair, and two per pair and edit.

    Args:
        pairs: prompts with a better and a worse response.
        edits: names of edits of texts.
        where: what is edited.
        tolerated: accuracy that a rewording may cost without a warning.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Does the reward stay when the same is said otherwise?"
    section: ClassVar = "corruptions"
    needs: ClassVar = ("model",)

    pairs: Ingredient[Pairs] = ingredient()
    edits: tuple[str, ...] = REWORD
    where: Literal["responses", "prompt", "both"] = "responses"
    tolerated: NonNegative = 0.05
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        return 2.0 * (1 + len(self.edits)) * (len(self.pairs) if self.pairs is not None else 0)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or self.pairs is None or not len(self.pairs):
            raise Unsupported("there are no pairs of responses", fix="Give RewordBench(pairs=...).")
        model: Reward = subject.model  # type: ignore[assignment]  # of prompts and responses
        found = reworded_rewards(model, self.pairs, self.edits, where=self.where,
                                 seed=subject.seed, alpha=self.alpha)  # fmt: skip
        name, low = found.worst()
        first = found.readings()[0]
        bad = found.drop(name) > self.tolerated
        says = (
            f"{first.value:.1%} of {len(self.pairs)} pairs are ranked right; after the rewording "
            f"that costs most ({name}) it is {low:.1%}."
        )
        rows: tuple[dict[str, Cell], ...] = tuple(
            {"edit": n, "n": len(new), "drop": found.drop(n), "flips": found.flips(n),
             "moved": found.moved(n)} for n, (_, new) in found.changed.items()
        )  # fmt: skip
        yield Finding(
            severity=Severity.WARNING if bad else Severity.GOOD, says=says,
            readings=found.readings(),
            advice="Train it with objective:paraphrase-consistency." if bad else "",
            figures=(Figure(name="rewordbench", kind="table", title="Rewordings of pairs",
                            says=says, rows=rows),),
        )  # fmt: skip
