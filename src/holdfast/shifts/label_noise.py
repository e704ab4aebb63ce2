"""Wrong labels of known chances on the labels of any data set of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import ConfigError, Unsupported

LabelNoise = Literal["symmetric", "asymmetric", "instance-dependent"]
SPREAD = 0.1  # of the rates of rows around the mean rate, where they depend on the row


@dataclass(frozen=True, eq=False)
class Mislabelled:
    """The truth about wrong labels.

    Args:
        clean: `(n,)` labels before.
        chances: `(n, K)` the chance of every label, row by row; zero rows where there was none.
    """

    clean: Tensor
    chances: Tensor


def mislabelled(
    batches: Batches,
    kind: LabelNoise,
    rate: float,
    dice: Dice | None = None,
    *,
    partners: Sequence[int] = (),
    classes: int = 0,
) -> Batches:
    """The same rows, some of them under another label; the clean ones are `more["clean"]`.

    Symmetric noise takes every other class alike, asymmetric noise the partner of the class.
    Instance-dependent noise has a rate for each row, drawn around the mean and cut to [0, 1],
    and takes the class that a random linear view of the row, one per clean label, finds likely:
    rows that look alike go wrong alike. Which rows turn is nested: those of a small rate turn
    under a larger one too.

    Args:
        batches: rows with labels 0 to K - 1, or -100 for none, which stays.
        kind: of noise.
        rate: expected share of wrong labels, in [0, 1].
        dice: one row per row; None draws from seed 0.
        partners: asymmetric: for each class the one it is taken for; the next one unless said.
        classes: how many there are; as many as labels tell, or names, unless said.

    Raises:
        ConfigError: for a rate outside [0, 1], an unknown kind, or partners that are none.
        Unsupported: unless there is one label per row and two classes.
    """
    if kind not in get_args(LabelNoise) or not 0 <= rate <= 1:
        raise ConfigError(
            f"mislabelled: {kind!r} at rate {rate}",
            fix=f"Kinds are {', '.join(get_args(LabelNoise))}; a rate lies in [0, 1].",
        )
    y, known = batches.y, batches.y != UNLABELLED
    if y.dim() != 1 or y.is_floating_point():
        raise Unsupported(
            "mislabelled: needs one class per row",
            fix="For tags of tokens: readers.synthetic.tag_noise.noisy.",
        )
    count = max(classes, len(batches.classes), int(y.max()) + 1 if len(y) else 0)
    if count < 2:
        raise Unsupported(
            f"mislabelled: needs two classes or more, got {count}",
            fix="Give classes=, the number of classes there are, such as classes=10.",
        )
    keyed = dice_or(dice, len(y)).spawn(f"label-noise-{kind}")
    clean = torch.where(known, y, 0)
    if kind == "symmetric":
        wrong = torch.full((len(y), count), 1 / (count - 1), dtype=torch.float64)
        wrong.scatter_(1, clean[:, None], 0.0)
    elif kind == "asymmetric":
        wrong = torch.nn.functional.one_hot(_partners(partners, count)[clean], count).double()
    else:
        wrong = _alike(batches, clean, count, keyed)
    rates = _rates(rate, len(y), keyed) if kind == "instance-dependent" else torch.tensor(rate)
    own = torch.nn.functional.one_hot(clean, count).double()
    rates = rates.double().expand(len(y))[:, None]
    chances = (rates * wrong + (1 - rates) * own) * known[:, None]
    turned = keyed.uniform(dtype=torch.float64) < rates[:, 0]
    other = _drawn(wrong, keyed.uniform(dtype=torch.float64))
    labels = torch.where(turned & known, other, y)
    more = {**batches.more, "clean": y}
    return replace(batches, y=labels, more=more, truth=Mislabelled(y, chances))


def _partners(given: Sequence[int], count: int) -> Tensor:
    chosen = torch.tensor(given or [(k + 1) % count for k in range(count)])
    if chosen.shape != (count,) or int(chosen.min()) < 0 or int(chosen.max()) >= count:
        raise ConfigError(
            f"mislabelled: partners {tuple(given)} of {count} classes",
            fix="Name a class, from 0 on, for each class.",
        )
    return chosen


def _rates(mean: float, count: int, dice: Dice) -> Tensor:
    """Rates of rows: normal around the mean, cut where they would leave [0, 1] on either side.

    The cut is the same on both sides, so that the mean stays what it is.
    """
    room = min(mean, 1 - mean)
    return mean + (SPREAD * dice.normal(dtype=torch.float64)).clamp(-room, room)


def _alike(batches: Batches, clean: Tensor, count: int, dice: Dice) -> Tensor:
    """`(n, K)`: chances of the other classes by a random view of each row's standardised values."""
    if not isinstance(batches.x, Tensor):
        raise Unsupported(
            "mislabelled: instance-dependent noise reads rows as numbers",
            fix="Take symmetric or asymmetric noise.",
        )
    x = batches.x.flatten(1).double()
    x = (x - x.mean(0)) / x.std(0, unbiased=False).clamp(min=1e-6)
    width = x.shape[1]
    views = (
        torch.randn(count, width, count, generator=dice.generator("views"), dtype=torch.float64)
        / max(width, 1) ** 0.5
    )
    seen = torch.stack([x @ view for view in views], 1)[torch.arange(len(x)), clean]
    return seen.scatter(1, clean[:, None], -torch.inf).softmax(1)


def _drawn(chances: Tensor, u: Tensor) -> Tensor:
    """A class for each row by its chances `(n, K)` and a uniform draw `(n,)`."""
    upto = chances.cumsum(1)
    place = torch.searchsorted(upto, (u * upto[:, -1])[:, None], right=True)[:, 0]
    return place.clamp(max=chances.shape[1] - 1)
