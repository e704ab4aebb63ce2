"""How short a prompt can be that makes a language model say what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.inputs import labelled_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.measures.text.prompts import (
    Texts,
    coordinate_gradient,
    following,
    greedy_token,
    says,
)
from holdfast.ops.ranking import rank_correlation
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class Controllability:
    """The prompts that were found.

    Args:
        length: `(B,)` tokens of the shortest prompt that works; -1 where none was found.
        prompts: one tensor of tokens per row; empty without a prompt.
        rank: `(B,)` of the wanted token without a prompt; 0 is the most likely one.
        loss: `(B,)` of the wanted token without a prompt, in nats.
        lengths: that were tried, rising, 0 first.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the draws.
    """

    length: Tensor
    prompts: tuple[Tensor, ...]
    rank: Tensor
    loss: Tensor
    lengths: tuple[int, ...]
    name: str
    alpha: float
    seed: int

    def readings(self) -> tuple[Reading, ...]:
        """Share of the wanted tokens that prompts of at most each length bring about.

        They are lower bounds: what was not found may exist.
        """
        return tuple(
            proportion(
                f"{self.name}.within.{k}", int(((self.length >= 0) & (self.length <= k)).sum()),
                len(self.length), bound="exact" if k == 0 else "lower", better="neither",
                alpha=self.alpha, seed=self.seed,
            )
            for k in self.lengths
        )  # fmt: skip

    def relation(self) -> tuple[float, float]:
        """Spearman correlation of the length found with the loss and the rank without a prompt."""
        found = self.length >= 0
        k = self.length[found].double()[None]
        pair = (self.loss[found].double()[None], self.rank[found].double()[None])
        if k.shape[1] < 2:
            return 0.0, 0.0
        return float(rank_correlation(k, pair[0])[0]), float(rank_correlation(k, pair[1])[0])


@dataclass(eq=False)
class _Open:
    """Rows whose wanted token has not been brought about, and their prompts so far."""

    texts: Texts
    wanted: Tensor
    allowed: Tensor
    dice: Dice
    length: Tensor
    prompts: list[Tensor]
    rows: Tensor
    prompt: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = self.texts.ids[:, :0]

    def see(self, lm: Model, prompt: Tensor) -> None:
        """Take over a prompt of every open row; rows on which it works are done."""
        hit = says(following(lm, self.texts, prompt), self.wanted)
        for i in hit.nonzero().flatten().tolist():
            row = int(self.rows[i])
            self.length[row], self.prompts[row] = prompt.shape[1], prompt[i]
        left = (~hit).nonzero().flatten()
        self.prompt, self.rows, self.dice = prompt[left], self.rows[left], self.dice.take(left)
        self.texts, self.wanted = self.texts.take(left), self.wanted[left]
        self.allowed = self.allowed[left]

    def __len__(self) -> int:
        return len(self.rows)


@register("measure", cites="magic-words")
def controllability(
    lm: Model,
    batches: Batches,
    *,
    greedy: tuple[int, ...] = (1, 2, 3),
    gradient: tuple[int, ...] = (4, 6, 8, 10),
    topk: int = 128,
    batch: int = 768,
    steps: int = 34,
    indirect: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "controllability",
) -> Controllability:
    """Searches for the shortest prompt that makes each wanted token the most likely next one.

    Nothing at all comes first. Then tokens are put in front one by one, each the best of the
    whole vocabulary given those behind it; of a single token that is the truth. Then greedy
    coordinate gradient improves prompts of greater lengths, each begun with the last one and
    random tokens in front. A row that is done costs no further pass.

    Args:
        lm: token ids to logits `(B, T, V)`; called with `{"ids", "mask"}`.
        batches: texts; the label is the token that is wanted next, -100 for none.
        greedy: lengths of the first stage, 1, 2, ... without gaps.
        gradient: lengths of the second stage, rising.
        topk: promising tokens per place.
        batch: prompts tried per step.
        steps: of the second stage, per length.
        indirect: forbid the wanted token itself in prompts.
        alpha: intervals cover with probability at least 1 - alpha.
        seed: of the draws.
        name: prefix of the readings.

    Raises:
        ConfigError: for lengths that do not rise as described.
        ShapeError: for labels that are not one token per text.
        Unsupported: without labelled rows, or if the model shows no token embeddings.

    Unlike the paper: among candidates one that works is taken before one of lower loss that does
    not, without which a single token would not be exact.

    Cost: per open row V forwards per greedy length, `steps * batch` per later one.
    """
    if greedy != tuple(range(1, len(greedy) + 1)) or sorted({*greedy, *gradient}) != [
        *greedy, *gradient
    ]:  # fmt: skip
        raise ConfigError(f"{name}: lengths must rise from 1 on, got {greedy} and {gradient}",
                          fix="Give greedy=(1, 2, 3) and gradient=(4, 6, 8).")  # fmt: skip
    if batches.y.dim() != 1:
        raise ShapeError(
            f"{name}: one wanted token per text (B,), got {tuple(batches.y.shape)}",
            fix="Give labels (B,): the id of the token that each text should bring about.",
        )
    rows = labelled_rows(batches, name)
    texts, wanted = Texts.of(rows.x), rows.y
    count, dice = len(rows), Dice(seed, rows.index, name)
    with quiet(lm), torch.no_grad():
        bare = following(lm, texts, texts.ids[:, :0])
        loss = F.cross_entropy(bare, wanted, reduction="none")
        rank = (bare > bare.gather(1, wanted[:, None])).sum(1)
        allowed = torch.ones_like(bare, dtype=torch.bool)
        if indirect:
            allowed = allowed.scatter(1, wanted[:, None], False)
        state = _Open(texts, wanted, allowed, dice, torch.full((count,), -1),
                      [texts.ids[0, :0]] * count, torch.arange(count))  # fmt: skip
        state.see(lm, state.prompt)
        for _ in greedy:
            if len(state):
                front = greedy_token(lm, state.texts, state.prompt, state.wanted, state.allowed)
                state.see(lm, torch.cat([front[:, None], state.prompt], 1))
        for k in gradient:
            _lengthen(state, k)
            for _ in range(steps):
                if not len(state):
                    break
                better = coordinate_gradient(
                    lm, state.texts, state.prompt, state.wanted, state.allowed, topk=topk,
                    batch=batch, dice=state.dice,
                )  # fmt: skip
                state.see(lm, better)
    return Controllability(state.length, tuple(state.prompts), rank.cpu(), loss.cpu(),
                           (0, *greedy, *gradient), name, alpha, seed)  # fmt: skip


def _lengthen(state: _Open, k: int) -> None:
    """Random allowed tokens in front of every open prompt, up to k of them."""
    missing = k - state.prompt.shape[1]
    draw = state.dice.uniform((missing, state.allowed.shape[1]), device=state.prompt.device)
    front = draw.masked_fill(~state.allowed[:, None], -1.0).argmax(-1)
    state.prompt = torch.cat([front, state.prompt], 1)
