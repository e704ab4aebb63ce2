"""How the error grows with the size of the change, and what to first order predicts it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Model, Threat
from holdfast.core.ranges import inside
from holdfast.core.records import Cell, Reading
from holdfast.measures.model.linear_distance import linear_distance
from holdfast.run.search import clean, search

DRAWS = 200  # of the bootstrap over rows


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """Added error against the size of the change, and its fit `prefactor * size ** exponent`.

    Args:
        sizes: in radii of the threat, rising.
        added: share of all rows that are right and broken at each size.
        predicted: the same share to first order, without any attack.
        exponent: of the fit, with a bootstrap interval over the rows.
        prefactor: added error that the fit gives at one radius, likewise.
        fit: share of the variance of the logarithms that the fit explains.
    """

    sizes: tuple[float, ...]
    added: tuple[float, ...]
    predicted: tuple[float, ...]
    exponent: Reading
    prefactor: Reading
    fit: Reading

    def readings(self) -> tuple[Reading, ...]:
        """Exponent, prefactor and quality of the fit."""
        return self.exponent, self.prefactor, self.fit

    def rows(self) -> tuple[dict[str, Cell], ...]:
        """Rows of a figure of kind `lines`."""
        series = (("attacked", self.added), ("to first order", self.predicted))
        return tuple(
            {"x": s, "y": v, "series": word}
            for word, values in series
            for s, v in zip(self.sizes, values, strict=True)
        )


def _sizes(count: int, smallest: float) -> list[float]:
    return [smallest ** (1 - k / (count - 1)) for k in range(count)]


@register("measure", cites="adv-power-law")
def power_law(
    model: Model,
    batches: Batches,
    *,
    threat: Part[Threat] = "threat:linf",
    attack: Part[Attack] = "attack:fgsm",
    points: int = 24,
    smallest: float = 0.015,
    window: tuple[float, float] = (0.005, 0.1),
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "power-law",
) -> PowerLaw:
    """Fits the error that an attack adds to a power of the size of the change.

    A gap between logits that has a finite density at zero makes the exponent one. Least squares
    on logarithms over the sizes whose added error lies in the window. A row broken at one size
    stays broken at larger ones, where the same change is admissible, and is not attacked again.
    Rows that are wrong without change count in the denominator only.

    Args:
        model: inputs -> logits first.
        batches: labelled rows of one tensor of inputs.
        threat: the largest changes; smaller ones are the same threat scaled.
        attack: run at every size.
        points: sizes, evenly spaced in their logarithm.
        smallest: the least size in radii of the threat.
        window: added errors that take part in the fit.
        alpha: intervals aim at a coverage of 1 - alpha.
        seed: of the attack and of the bootstrap.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than 3 points, or a smallest size or window that is out of order.
        Unsupported: without labelled rows, or if less than 3 sizes fall into the window.

    Cost: the attack at each of the sizes on the rows that are still safe; one forward and K - 1
    backward passes per row for the prediction.

    Unlike the paper: broken rows stay broken, which makes the curve monotone and cheap; the
    threat's own steepest admissible step stands in for the L1 norm of the slope, which counts
    coordinates that cannot move.
    """
    inside("[3, inf]", name, points=points)
    inside("(0, 1)", name, smallest=smallest)
    if not 0 < window[0] < window[1]:
        raise ConfigError(
            f"{name}: window must rise from above 0, got {window}", fix="Give window=(0.1, 1.0)."
        )
    one_tensor(batches.x, name)
    rows = batches.take((batches.y != UNLABELLED).nonzero().flatten())
    broken, near = _broken(model, rows, resolve(threat), resolve(attack),
                           _sizes(points, smallest), seed)  # fmt: skip
    sizes = torch.tensor(_sizes(points, smallest), dtype=torch.float64)
    added = broken.mean(0)
    here = _fitted(sizes.log(), added[None], window)
    if not len(rows) or not bool(here.isfinite().all()):
        raise Unsupported(
            f"{name}: less than 3 sizes add an error between {window[0]} and {window[1]}",
            fix="Give more rows, another radius or a wider window.",
        )
    generator = Dice.of(0, seed).generator(name)
    draws = torch.randint(len(rows), (DRAWS, len(rows)), generator=generator)
    again = _fitted(sizes.log(), torch.stack([broken[d].mean(0) for d in draws]), window)
    again = again[again.isfinite().all(1)]
    ends = again.quantile(torch.tensor([alpha / 2, 1 - alpha / 2], dtype=torch.float64), dim=0)
    made = [
        Reading(
            name=f"{name}.{word}", value=float(v), low=min(float(v), float(e[0])),
            high=max(float(v), float(e[1])), n=len(rows), unit=unit, better="neither",
            threat=resolve(threat).spec, seed=seed,
        )
        for word, unit, v, e in zip(
            ("exponent", "prefactor", "fit"), ("power", "share", "share of variance"),
            here[0], ends.T, strict=True,
        )
    ]  # fmt: skip
    predicted = ((near > 0)[:, None] & (near[:, None] < sizes)).double().mean(0)
    return PowerLaw(tuple(sizes.tolist()), tuple(added.tolist()), tuple(predicted.tolist()), *made)


def _broken(
    model: Model, rows: Batches, threat: Threat, attack: Attack, sizes: list[float], seed: int
) -> tuple[Tensor, Tensor]:
    """`(N, S)` which right rows are broken at each size, and `(N,)` their first-order distance."""
    parts, near = [torch.zeros(0, len(sizes), dtype=torch.float64)], [torch.zeros(0).double()]
    for batch in rows:
        x = batch.x
        if not isinstance(x, Tensor):
            continue
        goal, dice = Untargeted(batch.y), Dice(seed, batch.index, "power-law")
        right = clean(model, x, goal, threat).margin < 0
        found = torch.zeros(len(x), len(sizes), dtype=torch.float64)
        left = right.nonzero().flatten()
        for k, size in enumerate(sizes):
            if not len(left):
                break
            seen = search(attack, model, x[left], goal.take(left), threat.scaled(size),
                          dice=dice.part(left))  # fmt: skip
            found[left[seen.broken].cpu(), k:] = 1.0
            left = left[~seen.broken]
        parts.append(found)
        near.append(linear_distance(model, x, goal, threat).cpu())
    return torch.cat(parts), torch.cat(near)


def _fitted(logs: Tensor, added: Tensor, window: tuple[float, float]) -> Tensor:
    """`(D, 3)`: exponent, prefactor and explained variance of each curve `(D, S)`; NaN if short."""
    use = ((added >= window[0]) & (added <= window[1])).double()
    count, heights = use.sum(1, keepdim=True), added.clamp(min=1e-300).log()
    mean_x, mean_y = ((use * v).sum(1, keepdim=True) / count for v in (logs, heights))
    dx, dy = use * (logs - mean_x), use * (heights - mean_y)
    cross, across, along = (dx * dy).sum(1), dx.square().sum(1), dy.square().sum(1)
    slope = cross / across
    height = (mean_y - slope[:, None] * mean_x).squeeze(1).exp()
    fit = torch.where(along > 0, slope * cross / along, torch.nan)
    found = torch.stack([slope, height, fit], 1)
    return torch.where(count >= 3, found, torch.nan)
