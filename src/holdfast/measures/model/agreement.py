"""Do two models give the same answers? And a whole population and its twins?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError
from holdfast.core.goal import logits
from holdfast.core.inputs import labelled_rows, some_models, some_rows
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.records import Reading
from holdfast.ops.ranking import rank_correlation
from holdfast.run.reading import average, proportion

COLLAPSED = 1.2  # times chance: a model that is right no more often has learned nothing


def answers(model: Model, batches: Batches) -> Tensor:
    """`(B,)` int64: the largest output of each row."""
    with quiet(model), torch.no_grad():
        found = [logits(model(b.x)).argmax(-1) for b in batches]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Agreement:
    """How often two models say the same.

    Args:
        same: share of rows with the same answer.
        kappa: the same above what independent models with these answers would have by chance,
            over the most there could be; 1 is always, 0 is chance.
        chance: share that independent models with these answers would agree on.
    """

    same: Reading
    kappa: Reading
    chance: float

    def readings(self) -> tuple[Reading, ...]:
        """Share of rows with the same answer, and kappa."""
        return self.same, self.kappa


@register("measure", cites="sparsified-model-zoos")
def agreement(
    models: Sequence[Model], batches: Batches, *, alpha: float = 0.05, name: str = "agreement"
) -> Agreement:
    """Share of rows to which two models give the same answer, and what of it is not chance.

    A model and its pruned twin may be equally accurate and yet fail on other rows; agreement
    sees it. The interval of kappa is that of the share, carried through its formula with chance
    held fixed.

    Args:
        models: two models of the same classes.
        batches: rows; labels are not looked at.
        alpha: the interval covers with probability at least 1 - alpha.
        name: prefix of the readings.

    Raises:
        ShapeError: unless there are two models, and rows.

    Cost: one forward pass per row and model.
    """
    some_models(models, name, 2, 2)
    some_rows(batches, name)
    a, b = (answers(m, batches) for m in models)
    classes = int(torch.maximum(a, b).max()) + 1
    shares = [torch.bincount(v, minlength=classes).double() / len(v) for v in (a, b)]
    chance = float((shares[0] * shares[1]).sum())
    same = proportion(f"{name}.same", int((a == b).sum()), len(a), better="neither", alpha=alpha)

    def beyond(share: float) -> float:
        return (share - chance) / (1 - chance) if chance < 1 else 1.0

    kappa = Reading(name=f"{name}.kappa", value=beyond(same.value), low=beyond(same.low),
                    high=beyond(same.high), n=len(a), better="neither")  # fmt: skip
    return Agreement(same, kappa, chance)


def distance(model: nn.Module, other: nn.Module) -> float:
    """Length of the difference of the weights, over that of the first model's."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    apart = [((p - q).detach().double().square().sum(), p.detach().double().square().sum())
             for p, q in pairs]  # fmt: skip
    return float((sum(a for a, _ in apart) / sum(b for _, b in apart)) ** 0.5)


@dataclass(frozen=True, eq=False)
class Zoo:
    """A population of models beside one twin of each.

    Args:
        accuracy: `(m,)` of the originals.
        twin: `(m,)` accuracy of the twins.
        same: `(m,)` share of rows to which original and twin give the same answer.
        apart: `(m,)` relative distance of their weights.
        classes: of the labels.
    """

    accuracy: Tensor
    twin: Tensor
    same: Tensor
    apart: Tensor
    classes: int

    @property
    def order(self) -> float:
        """Rank correlation of the accuracies of originals and twins."""
        return float(rank_correlation(self.accuracy, self.twin))

    @property
    def collapsed(self) -> float:
        """Share of twins that are hardly better than chance."""
        return float((self.twin <= COLLAPSED / self.classes).double().mean())

    def readings(self) -> tuple[Reading, ...]:
        """Mean loss of accuracy and mean agreement over the population."""
        return (
            average("zoo.drop", self.accuracy - self.twin, better="lower"),
            average("zoo.same", self.same, better="neither"),
        )


def zoo(originals: Sequence[nn.Module], twins: Sequence[nn.Module], batches: Batches) -> Zoo:
    """Compares every model of a population with its twin on labelled rows.

    Args:
        originals: the population.
        twins: one for each of them, in the same order: compressed, retrained, or tuned otherwise.
        batches: rows; those without a label do not count.

    Raises:
        ShapeError: unless every model has a twin.
        Unsupported: without labelled rows.

    Cost: one forward pass per row and model.
    """
    if len(originals) != len(twins) or not originals:
        raise ShapeError(
            f"zoo: {len(originals)} models but {len(twins)} twins",
            fix="Give one twin per model, in the same order, and one model at least.",
        )
    rows = labelled_rows(batches, "zoo")
    said = [[answers(m, rows) for m in group] for group in (originals, twins)]
    right = [torch.stack([(a == rows.y).double().mean() for a in group]) for group in said]
    same = torch.stack([(a == b).double().mean() for a, b in zip(*said, strict=True)])
    apart = torch.tensor([distance(a, b) for a, b in zip(originals, twins, strict=True)])
    return Zoo(right[0], right[1], same, apart, int(rows.y.max()) + 1)
