"""How far the loss rises when the weights are moved a little, and how it curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.weights import Landscape, flat, landscape, shaped
from holdfast.ops.derivative import lanczos


def _scale(land: Landscape, adaptive: bool) -> Tensor:
    """How far each weight may move per unit of radius: its size, or one."""
    parts = {
        k: w.abs() if adaptive and w.dim() > 1 else torch.ones_like(w)
        for k, w in land.weights.items()
    }
    return flat(parts)


def _unit(v: Tensor) -> Tensor:
    length: Tensor = v.norm()
    return v / length.clamp(min=torch.finfo(v.dtype).tiny)


@register("measure", cites=("generalization-measures", "asam"))
def sharpness(
    model: Model,
    batches: Batches,
    *,
    radius: float = 0.05,
    steps: int = 5,
    draws: int = 8,
    kind: Literal["worst", "random"] = "worst",
    adaptive: bool = True,
    seed: int = 0,
    name: str = "sharpness",
) -> Reading:
    """How much the mean loss rises within a ball of weights around the model's own.

    The adaptive ball measures each weight of a matrix or filter by its own size, so layers
    rescaled without changing the function are equally sharp. `worst` climbs the loss by
    normalised gradients and keeps the best of its steps and draws: a lower bound of the true
    maximum. `random` is the mean over random directions on the sphere.

    Args:
        model: an nn.Module; its weights are left as they are.
        batches: labelled rows.
        radius: of the ball, relative to the weights if adaptive.
        steps: gradient steps of the climb.
        draws: random directions; for `worst` at most two of them start a climb.
        kind: the worst direction that is found, or the mean of random ones.
        adaptive: whether matrices and filters are measured by the size of their entries.
        seed: of the directions.
        name: of the reading.

    Returns:
        The rise in nats. For `random` with an interval of two standard errors.

    Raises:
        ConfigError: for a radius, steps or draws that are not positive.
        Unsupported: if the model shows no weights or no row is labelled.

    Cost: `worst` 2 * (steps + 1) forward and 2 * steps backward passes per row, `random` draws + 1.
    """
    inside("(0, inf)", name, radius=radius)
    inside("[1, inf]", name, steps=steps, draws=draws)
    land = landscape(model, batches, name)
    with quiet(model):
        weights, here = land.weights, land.loss(land.weights)
        scale = _scale(land, adaptive)
        centre = flat(weights)
        generator = Dice.of(0, seed).generator(name)
        count = draws if kind == "random" else min(draws, 2)
        starts = [_unit(torch.randn(len(centre), generator=generator).to(centre))
                  for _ in range(count)]  # fmt: skip
        if kind == "random":
            rises = [land.loss(shaped(centre + radius * scale * v, weights)) - here for v in starts]
        else:
            rises = [_climb(land, centre, scale * radius, v, steps) - here for v in starts]
    rise = torch.tensor(rises, dtype=torch.float64)
    if kind == "worst":
        value = max(0.0, float(rise.max()))
        return Reading(name=name, value=value, low=value, high=float("inf"), n=land.count,
                       bound="lower", unit="nats", better="lower", seed=seed)  # fmt: skip
    value, half = float(rise.mean()), float(2 * rise.std() / len(rise) ** 0.5) if draws > 1 else 0.0
    return Reading(name=name, value=value, low=value - half, high=value + half, n=draws,
                   unit="nats", better="lower", seed=seed)  # fmt: skip


def _climb(land: Landscape, centre: Tensor, reach: Tensor, start: Tensor, steps: int) -> float:
    """The largest loss seen while climbing inside the unit ball of `move`, scaled by `reach`."""
    move, best = 0.01 * start, -torch.inf
    for step in range(steps):
        weights = shaped(centre + reach * move, land.weights)
        slope = flat(land.gradient(weights)) * reach
        move = move + _unit(slope) * (1.0 if step == 0 else 0.5)
        move = _unit(move) if float(move.norm()) > 1 else move
        best = max(best, land.loss(shaped(centre + reach * move, land.weights)))
    return best


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of the mean loss in the weights.

    Args:
        top: the largest eigenvalue; `low` is a true lower bound, `high` adds the residual.
        bottom: the smallest eigenvalue, likewise.
        trace: the sum of all eigenvalues with an interval of two standard errors.
    """

    top: Reading
    bottom: Reading
    trace: Reading

    def readings(self) -> tuple[Reading, ...]:
        """All three."""
        return self.top, self.bottom, self.trace


@register("measure", cites="hessian-eigs")
def curvature(
    model: Model,
    batches: Batches,
    *,
    steps: int = 20,
    draws: int = 8,
    seed: int = 0,
    name: str = "curvature",
) -> Curvature:
    """Ends of the spectrum and trace of the Hessian, from products alone.

    Lanczos steps with full orthogonalisation approach both ends from inside; every value comes
    with its residual. The trace is the mean of v'Hv over vectors of random signs, which is
    unbiased. Kinks (ReLU) carry no curvature here.

    Args:
        model: an nn.Module; its weights are left as they are.
        batches: labelled rows.
        steps: Lanczos steps, one product each.
        draws: random vectors for the trace.
        seed: of the vectors.
        name: prefix of the readings.

    Raises:
        ConfigError: for less than one step or two draws.
        Unsupported: if the model shows no weights or no row is labelled.

    Cost: `steps + draws` products, each one forward and two backward passes per row.
    """
    inside("[1, inf]", name, steps=steps)
    inside("[2, inf]", name, draws=draws)
    land = landscape(model, batches, name)
    with quiet(model):
        weights = land.weights
        centre = flat(weights)
        generator = Dice.of(0, seed).generator(name)

        def product(v: Tensor) -> Tensor:
            return flat(land.curved(shaped(v, weights)))

        start = torch.randn(len(centre), generator=generator).to(centre)
        values, residuals = lanczos(product, start, steps=steps)
        rounds = []
        for _ in range(draws):
            sign = torch.randint(2, (len(centre),), generator=generator).to(centre) * 2 - 1
            rounds.append(float(sign.double() @ product(sign).double()))
    rows, spread = land.count, torch.tensor(rounds, dtype=torch.float64)
    half = float(2 * spread.std() / draws**0.5)
    ends = {"top": (float(values[-1]), float(residuals[-1]), 1), 
            "bottom": (float(values[0]), float(residuals[0]), -1)}  # fmt: skip
    found = {
        k: Reading(name=f"{name}.{k}", value=v, low=min(v, v + sign * r), n=rows, seed=seed,
                   high=max(v, v + sign * r), unit="nats per squared weight", better="neither")
        for k, (v, r, sign) in ends.items()
    }  # fmt: skip
    mean = float(spread.mean())
    trace = Reading(name=f"{name}.trace", value=mean, low=mean - half, high=mean + half, n=draws,
                    seed=seed, unit="nats per squared weight", better="neither")  # fmt: skip
    return Curvature(found["top"], found["bottom"], trace)
