"""Rows mixed with other rows, and their labels in the same shares."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import NonNegative, Share, settings
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Hook, Run
from holdfast.core.quiet import quiet
from holdfast.ops.batch import fit
from holdfast.ops.compose import drawn_boxes
from holdfast.ops.simplex import beta


def mixable(batch: Batch, name: str) -> Tensor:
    """The inputs of a batch that can be mixed with one another.

    Raises:
        Unsupported: for inputs other than one floating-point tensor, or labels per position.
    """
    x, y = batch.x, batch.y
    x = one_tensor(x, name, floating=True)
    if y.dim() != (2 if y.is_floating_point() else 1):
        raise Unsupported(
            f"{name} mixes one label per row, got labels {tuple(y.shape)}",
            fix="Give one class per row, or shares of the classes.",
        )
    return x


def label_shares(run: Run, owner: object, batch: Batch) -> Tensor:
    """`(B, K)`: labels as shares of the classes; rows without a label have none.

    The number of classes is asked of the model once per run.
    """
    y = batch.y
    if y.is_floating_point():
        return y
    memory = run.memory(owner)
    if "classes" not in memory:
        with quiet(run.model), torch.no_grad():
            run.model.eval()
            memory["classes"] = int(logits(run.model(batch.x[:1])).shape[-1])  # type: ignore[index]
    known = y != UNLABELLED
    shares = F.one_hot(y.masked_fill(~known, 0).long(), memory["classes"])
    return (shares * known[:, None]).to(batch.x)  # type: ignore[arg-type]


def blended(y: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Label shares of rows that keep `share` `(B,)` of themselves and take the rest elsewhere."""
    return share[:, None] * y + (1 - share[:, None]) * y[partner]


def order(count: int, dice: Dice) -> Tensor:
    """`(B,)`: whom each row is mixed with, a permutation of the batch."""
    return torch.randperm(count, generator=dice.generator("partner")).to(dice.keys.device)


def each_or_one(dice: Dice, each: bool) -> Dice:
    """The dice of every row, or of one row that stands for all."""
    return dice if each else dice.one()


@register("hook", cites="mixup", says="Mixes each row with another one, and their labels alike.")
@settings
class Mixup(Hook):
    """In every batch each row becomes a mean of itself and another row, and so does its label.

    Both parts have the same shares `(s, 1 - s)`, s from Beta(alpha, alpha); the cross-entropy of
    the mixed label is the mean of those of both labels in these shares. The net learns to be linear
    between rows, and wrong labels are harder to learn by heart. Put it before what attacks the
    batch: objectives then attack the mixed row. Labels become shares `(B, K)`, so objectives that
    need whole labels refuse them. Without alpha nothing is mixed. Evaluate without it.

    Args:
        alpha: of the Beta distribution: 1 is uniform, a small one mixes little; 0 not at all.
        each: every row draws its own share; else one for the whole batch, as published.

    Raises:
        Unsupported: for inputs other than one tensor, or labels per position.
    """

    neutral: ClassVar[dict[str, Any]] = {"alpha": 0.0}

    alpha: NonNegative = 1.0
    each: bool = False

    def batch(self, run: Run, batch: Batch) -> Batch:
        if not self.alpha or not len(batch.index):
            return batch
        x, dice = mixable(batch, "Mixup"), run.dice.spawn("mixup")
        partner = order(len(x), dice)
        draws = each_or_one(dice, self.each).uniform(dtype=torch.float64, device=x.device)
        share = beta(draws, self.alpha).expand(len(x)).to(x)
        mixed = fit(share, x) * x + (1 - fit(share, x)) * x[partner]
        return batch._replace(x=mixed, y=blended(label_shares(run, self, batch), partner, share))


@register("hook", cites="cutmix", name="cutmix", says="Pastes a box of another row, labels alike.")
@settings
class CutMix(Hook):
    """In every batch a box of each row is replaced by that of another one, labels by its area.

    The box has the form of the image, a share `1 - s` of its area with s from Beta(alpha,
    alpha), and a middle drawn anywhere; what lies outside is cut off, and the label keeps exactly
    the share of pixels that the row keeps. The net has to find an object by any of its parts.
    Inputs of one axis lose a stretch instead of a box. Before an attack it works best with a mean
    of the weights (`hook:ema`).

    Args:
        alpha: of the Beta distribution; 0 leaves rows as they are.
        chance: of batches (of rows, with `each`) that are mixed.
        each: every row draws its own box; else one for the whole batch, as published.

    Raises:
        Unsupported: for inputs other than one tensor, or labels per position.
    """

    neutral: ClassVar[dict[str, Any]] = {"chance": 0.0}

    alpha: NonNegative = 1.0
    chance: Share = 1.0
    each: bool = False

    def batch(self, run: Run, batch: Batch) -> Batch:
        if not self.alpha or not self.chance or not len(batch.index):
            return batch
        x, dice = mixable(batch, "CutMix"), run.dice.spawn("cutmix")
        partner, own = order(len(x), dice), each_or_one(dice, self.each)
        draws = own.uniform(dtype=torch.float64, device=x.device)
        sides = x.shape[2:] if x.dim() > 2 else x.shape[1:]
        middle = own.uniform((len(sides),), dtype=torch.float64, device=x.device)
        inside = drawn_boxes(1 - beta(draws, self.alpha), middle, sides)
        chosen = own.uniform(device=x.device) < self.chance
        inside = (inside & fit(chosen, inside)).expand(len(x), *sides)
        kept = 1 - inside.flatten(1).to(x).mean(1)
        mask = inside[:, None] if x.dim() > 2 else inside
        mixed = torch.where(mask, x[partner], x)
        return batch._replace(x=mixed, y=blended(label_shares(run, self, batch), partner, kept))
